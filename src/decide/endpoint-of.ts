import type { ModelTemplate } from '../domain/model.ts'
import type { Endpoint, Placement, Replica, ReplicaStatus } from '../domain/replica.ts'
import { parseSource } from '../domain/source.ts'
import type { ServingLimits } from './serving-limits.ts'

/** What decides whether a replica is routable. */
export interface EndpointFacts {
  readonly replica: Replica
  readonly template: ModelTemplate
  readonly limits: Partial<ServingLimits>
  readonly placement?: Placement
  readonly status?: ReplicaStatus
  /** Its node, while that is registered. */
  readonly agentUrl?: string
  /** The node's lease lives, or has not been given up on. */
  readonly nodeAlive: boolean
  /** It has an endpoint already: gateways may have begun requests on it. */
  readonly routed: boolean
}

/**
 * The endpoint that a replica has now, or undefined. Ready only while its node's agent says so about the very plan
 * that placed it; draining while it is to stop and may still serve what gateways have begun on it; nothing else is
 * routable. A service that somebody else runs needs no node.
 */
export function endpointOf(facts: EndpointFacts): Endpoint | undefined {
  const { replica, template, limits } = facts
  const common = {
    replica: replica.name,
    model: replica.model,
    engine: template.engine,
    ...(limits.contextTokens === undefined ? {} : { contextTokens: limits.contextTokens }),
    ...(limits.maxConcurrency === undefined ? {} : { maxConcurrency: limits.maxConcurrency }),
  }
  if (template.engine === 'external') {
    const address = externalAddress(replica.model, template)
    const state = replica.intent === 'run' ? 'ready' : 'draining'
    return address && { ...common, address, adapters: [], state, planVersion: 0 }
  }
  const { placement, status, agentUrl, nodeAlive, routed } = facts
  if (!placement || !status || agentUrl === undefined || !nodeAlive) return undefined
  if (status.planVersion !== placement.planVersion || status.node !== placement.node) return undefined
  const state = stateOf(replica, status)
  // One that ends before it ever served drains nothing, whatever its agent calls it.
  if (state === 'draining' && !routed) return undefined
  return (
    state && {
      ...common,
      node: placement.node,
      address: { kind: 'node', agentUrl, port: placement.port },
      adapters: status.adapters,
      state,
      planVersion: placement.planVersion,
    }
  )
}

function stateOf({ intent }: Replica, { phase }: ReplicaStatus): Endpoint['state'] | undefined {
  if (phase === 'ready') return intent === 'run' ? 'ready' : 'draining'
  if (phase === 'draining') return 'draining'
  // It may still answer what it has begun; new requests go elsewhere.
  return phase === 'unhealthy' && intent === 'stop' ? 'draining' : undefined
}

function externalAddress(name: string, template: ModelTemplate): Endpoint['address'] | undefined {
  const source = parseSource(template.source)
  if (source.kind !== 'external') return undefined
  return {
    kind: 'external',
    url: source.url,
    model: template.externalModel ?? name,
    ...(template.externalKeyEnv === undefined ? {} : { keyEnv: template.externalKeyEnv }),
  }
}
