import type { GatewayView } from '../api/objects.ts'
import type { Key } from '../domain/access.ts'
import type { Endpoint } from '../domain/replica.ts'
import type { UpstreamTarget } from './upstream.ts'
import { compileTarget } from './upstream-target.ts'

/** A public name: a model's own or an adapter's. */
export interface ServedName {
  readonly name: string
  /** The model that serves it; differs from `name` for an adapter. */
  readonly model: string
  readonly createdAtMs: number
  /** Of the model. */
  readonly phase: string
  /** Replicas that take new requests for it. */
  readonly endpoints: readonly Endpoint[]
}

/** One view, turned into what requests ask. Never changed: the next view makes another. */
export interface ViewIndex {
  readonly revision: number
  readonly planVersion: number
  readonly pepper: string
  readonly names: ReadonlyMap<string, ServedName>
  readonly targets: ReadonlyMap<string, UpstreamTarget>
  readonly keys: ReadonlyMap<string, Key>
}

/**
 * The index of `view`. `seen` holds the highest planVersion known of each replica and is brought up to date: an
 * endpoint with an older one is a copy that was fenced, and is left out.
 */
export function indexView(
  view: GatewayView,
  seen: Map<string, number>,
  env: (name: string) => string | undefined,
): ViewIndex {
  const targets = new Map<string, UpstreamTarget>()
  const live: Endpoint[] = []
  for (const { credential, ...endpoint } of view.endpoints) {
    const highest = seen.get(endpoint.replica) ?? 0
    if (endpoint.planVersion < highest) continue
    // Moved to the end, so that the first entries are those not met for longest.
    seen.delete(endpoint.replica)
    seen.set(endpoint.replica, endpoint.planVersion)
    const target = compileTarget(endpoint, credential, env)
    if (target === undefined) continue
    targets.set(endpoint.replica, target)
    if (endpoint.state === 'ready') live.push(endpoint)
  }
  for (const replica of seen.keys()) {
    if (seen.size <= MOST_SEEN) break
    seen.delete(replica)
  }
  return {
    revision: view.revision,
    planVersion: view.planVersion,
    pepper: view.pepper,
    names: namesOf(view, live),
    targets,
    keys: new Map(view.keys.map((key) => [key.id, key])),
  }
}

const MOST_SEEN = 20_000

function namesOf(view: GatewayView, live: readonly Endpoint[]): Map<string, ServedName> {
  const names = new Map<string, ServedName>()
  for (const model of view.models) {
    const endpoints = live.filter((endpoint) => endpoint.model === model.name)
    // A model's own name wins over an adapter's of the same name.
    names.set(model.name, {
      name: model.name,
      model: model.name,
      createdAtMs: model.createdAtMs,
      phase: model.phase,
      endpoints,
    })
    for (const adapter of model.adapters) {
      const known = names.get(adapter)
      if (known?.model === adapter) continue
      const serving = endpoints.filter((endpoint) => endpoint.adapters.includes(adapter))
      names.set(adapter, {
        name: adapter,
        model: model.name,
        createdAtMs: model.createdAtMs,
        phase: model.phase,
        endpoints: known === undefined ? serving : [...known.endpoints, ...serving],
      })
    }
  }
  return names
}
