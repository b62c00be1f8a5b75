import { describe, expect, it } from 'vitest'
import { ModelTemplate } from '../domain/model.ts'
import type { Placement, Replica, ReplicaStatus } from '../domain/replica.ts'
import { type EndpointFacts, endpointOf } from './endpoint-of.ts'

describe('endpointOf', () => {
  it('is ready while the agent says ready about the plan that placed it', () => {
    expect(endpointOf(facts({}))).toEqual({
      replica: 'm-1',
      model: 'm',
      node: 'n1',
      engine: 'llama',
      address: { kind: 'node', agentUrl: 'http://10.0.0.1:7702', port: 20_000 },
      adapters: ['lora'],
      state: 'ready',
      planVersion: 3,
      contextTokens: 4096,
      maxConcurrency: 4,
    })
  })

  it.each(['pending', 'pulling', 'starting', 'stopped', 'failed'] as const)('is none while %s', (phase) => {
    for (const intent of ['run', 'stop'] as const) {
      expect(endpointOf(facts({ replica: aReplica({ intent }), status: aStatus({ phase }) }))).toBeUndefined()
    }
  })

  it('takes no new requests once it is to stop, and stays as long as it may serve', () => {
    const replica = aReplica({ intent: 'stop' })
    for (const phase of ['ready', 'draining', 'unhealthy'] as const) {
      expect(endpointOf(facts({ replica, status: aStatus({ phase }) }))?.state).toBe('draining')
    }
    expect(endpointOf(facts({ status: aStatus({ phase: 'unhealthy' }) }))).toBeUndefined()
  })

  it('is none for a replica that ends before any gateway has heard of it', () => {
    const replica = aReplica({ intent: 'stop' })
    for (const phase of ['ready', 'draining', 'unhealthy'] as const) {
      expect(endpointOf(facts({ replica, status: aStatus({ phase }), routed: false }))).toBeUndefined()
    }
    expect(endpointOf(facts({ routed: false }))?.state).toBe('ready')
  })

  it('is none when the status is about another plan or from another node', () => {
    expect(endpointOf(facts({ status: aStatus({ planVersion: 2 }) }))).toBeUndefined()
    expect(endpointOf(facts({ status: aStatus({ node: 'n2' }) }))).toBeUndefined()
  })

  it('is none when its node is given up, removed, or it has no place', () => {
    expect(endpointOf(facts({ nodeAlive: false }))).toBeUndefined()
    const { agentUrl: _, ...removed } = facts({})
    expect(endpointOf(removed)).toBeUndefined()
    const { placement: __, ...unplaced } = facts({})
    expect(endpointOf(unplaced)).toBeUndefined()
  })

  it('needs no node for a service that somebody else runs', () => {
    const template = ModelTemplate.parse({
      source: 'https://api.example.com/v1/',
      engine: 'external',
      externalModel: 'gpt-x',
      externalKeyEnv: 'EXAMPLE_API_KEY',
    })
    const external = { replica: aReplica({}), template, limits: {}, nodeAlive: false, routed: false }
    expect(endpointOf(external)).toMatchObject({
      state: 'ready',
      address: {
        kind: 'external',
        url: 'https://api.example.com/v1',
        model: 'gpt-x',
        keyEnv: 'EXAMPLE_API_KEY',
      },
    })
  })
})

function facts(some: Partial<EndpointFacts>): EndpointFacts {
  return {
    replica: aReplica({}),
    template: ModelTemplate.parse({ source: 'builtin:tiny', engine: 'llama' }),
    limits: { contextTokens: 4096, maxConcurrency: 4 },
    placement: aPlacement,
    status: aStatus({}),
    agentUrl: 'http://10.0.0.1:7702',
    nodeAlive: true,
    routed: true,
    ...some,
  }
}

function aReplica(some: Partial<Replica>): Replica {
  return {
    name: 'm-1',
    model: 'm',
    revision: 'm-00000000',
    intent: 'run',
    reason: 'scale_up',
    createdAtMs: 0,
    ...some,
  }
}

const aPlacement: Placement = {
  replica: 'm-1',
  model: 'm',
  node: 'n1',
  deviceIds: ['cpu'],
  bytesPerDevice: 1,
  hostMemoryBytes: 1,
  port: 20_000,
  planVersion: 3,
}

function aStatus(some: Partial<ReplicaStatus>): ReplicaStatus {
  return {
    replica: 'm-1',
    node: 'n1',
    planVersion: 3,
    phase: 'ready',
    sinceMs: 0,
    restarts: 0,
    adapters: ['lora'],
    ...some,
  }
}
