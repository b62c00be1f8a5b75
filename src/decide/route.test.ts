import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Endpoint } from '../domain/replica.ts'
import { anEndpoint, frozen, randomFrom } from './decide.testing.ts'
import { type Load, type RoutingView, route } from './route.ts'

function viewOf(
  endpoints: readonly Endpoint[],
  loads: Readonly<Record<string, Partial<Load>>> = {},
): RoutingView {
  frozen(endpoints)
  return {
    endpointsOf: (model) => (model === 'chat' ? endpoints : undefined),
    load: (replica) => ({ inFlight: 0, lastUsed: 0, ejected: false, ...loads[replica] }),
  }
}

function ask(view: RoutingView, avoid: readonly string[] = [], model = 'chat') {
  return route(frozen({ model, avoid }), view, randomFrom(1))
}

const two = [anEndpoint('r-1'), anEndpoint('r-2')]

describe('a request', () => {
  test('goes to the replica with the fewest requests in flight', () => {
    expect(ask(viewOf(two, { 'r-1': { inFlight: 2 }, 'r-2': { inFlight: 1 } }))).toMatchObject({
      kind: 'send',
      endpoint: { replica: 'r-2' },
      because: 'least_in_flight',
    })
  })

  test('goes to the one used longest ago among equals', () => {
    expect(ask(viewOf(two, { 'r-1': { lastUsed: 9 }, 'r-2': { lastUsed: 3 } }))).toMatchObject({
      endpoint: { replica: 'r-2' },
    })
  })

  test('goes to any of those never used', () => {
    const picked = new Set(
      Array.from({ length: 40 }, (_, seed) => {
        const answer = route({ model: 'chat', avoid: [] }, viewOf(two), randomFrom(seed * 7919))
        return answer.kind === 'send' ? answer.endpoint.replica : ''
      }),
    )
    expect(picked).toEqual(new Set(['r-1', 'r-2']))
  })

  test('does not go where it has been', () => {
    expect(ask(viewOf(two, { 'r-2': { inFlight: 9 } }), ['r-1'])).toMatchObject({
      endpoint: { replica: 'r-2' },
      because: 'only_one',
    })
    expect(ask(viewOf(two), ['r-1', 'r-2'])).toEqual({ kind: 'reject', reason: 'all_tried' })
  })

  test('never goes to a replica that drains', () => {
    const endpoints = [anEndpoint('r-1', { state: 'draining' }), anEndpoint('r-2')]
    expect(ask(viewOf(endpoints, { 'r-2': { inFlight: 50 } }))).toMatchObject({
      endpoint: { replica: 'r-2' },
    })
    expect(ask(viewOf(endpoints.slice(0, 1)))).toEqual({ kind: 'wait', reason: 'no_ready_endpoint' })
  })

  test('passes an ejected replica by, unless all are ejected', () => {
    const one = viewOf(two, { 'r-1': { ejected: true }, 'r-2': { inFlight: 5 } })
    expect(ask(one)).toMatchObject({ endpoint: { replica: 'r-2' }, because: 'least_in_flight' })
    const all = viewOf(two, { 'r-1': { ejected: true, inFlight: 1 }, 'r-2': { ejected: true } })
    expect(ask(all)).toMatchObject({ endpoint: { replica: 'r-2' }, because: 'all_ejected' })
  })

  test('waits when every replica has twice what it serves at once', () => {
    const small = [anEndpoint('r-1', { maxConcurrency: 4 }), anEndpoint('r-2', { maxConcurrency: 1 })]
    expect(ask(viewOf(small, { 'r-1': { inFlight: 8 }, 'r-2': { inFlight: 2 } }))).toEqual({
      kind: 'wait',
      reason: 'saturated',
    })
    expect(ask(viewOf(small, { 'r-1': { inFlight: 7 }, 'r-2': { inFlight: 2 } }))).toMatchObject({
      endpoint: { replica: 'r-1' },
    })
    const unknown = [small[0]!, anEndpoint('r-3')]
    expect(ask(viewOf(unknown, { 'r-1': { inFlight: 8 }, 'r-3': { inFlight: 900 } }))).toMatchObject({
      endpoint: { replica: 'r-3' },
    })
  })

  test('waits for a busy replica rather than going to an ejected one', () => {
    const endpoints = [anEndpoint('r-1', { maxConcurrency: 1 }), anEndpoint('r-2')]
    expect(ask(viewOf(endpoints, { 'r-1': { inFlight: 2 }, 'r-2': { ejected: true } }))).toEqual({
      kind: 'wait',
      reason: 'saturated',
    })
  })

  test('for a model that nobody has is rejected; for one without replicas it waits', () => {
    expect(ask(viewOf(two), [], 'other')).toEqual({ kind: 'reject', reason: 'model_not_found' })
    expect(ask(viewOf([]))).toEqual({ kind: 'wait', reason: 'no_ready_endpoint' })
  })
})

describe('properties', () => {
  const replicas = ['r-0', 'r-1', 'r-2', 'r-3', 'r-4']
  const worlds = fc.record({
    endpoints: fc.subarray(replicas).chain((names) =>
      fc.tuple(
        ...names.map((name) =>
          fc
            .record({
              state: fc.constantFrom('ready' as const, 'draining' as const),
              maxConcurrency: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
            })
            .map(({ state, maxConcurrency }) =>
              anEndpoint(name, { state, ...(maxConcurrency === undefined ? {} : { maxConcurrency }) }),
            ),
        ),
      ),
    ),
    loads: fc.record(
      Object.fromEntries(
        replicas.map((name) => [
          name,
          fc.record({ inFlight: fc.nat(6), lastUsed: fc.nat(3), ejected: fc.boolean() }),
        ]),
      ),
    ),
    avoid: fc.subarray(replicas),
    seed: fc.nat(),
  })

  test('the choice is allowed and none that is allowed is better', () => {
    fc.assert(
      fc.property(worlds, ({ endpoints, loads, avoid, seed }) => {
        const answer = route({ model: 'chat', avoid }, viewOf(endpoints, loads), randomFrom(seed))
        const ready = endpoints.filter(({ state }) => state === 'ready')
        const untried = ready.filter(({ replica }) => !avoid.includes(replica))
        const healthy = untried.filter(({ replica }) => !loads[replica]!.ejected)
        const pool = (healthy.length > 0 ? healthy : untried).filter(
          ({ replica, maxConcurrency }) =>
            maxConcurrency === undefined || loads[replica]!.inFlight < 2 * maxConcurrency,
        )
        if (ready.length === 0) expect(answer).toEqual({ kind: 'wait', reason: 'no_ready_endpoint' })
        else if (untried.length === 0) expect(answer).toEqual({ kind: 'reject', reason: 'all_tried' })
        else if (pool.length === 0) expect(answer).toEqual({ kind: 'wait', reason: 'saturated' })
        else {
          if (answer.kind !== 'send') throw new Error(`expected a replica, got ${answer.reason}`)
          expect(pool).toContain(answer.endpoint)
          const { inFlight, lastUsed } = loads[answer.endpoint.replica]!
          for (const { replica } of pool) {
            const other = loads[replica]!
            expect(
              inFlight < other.inFlight || (inFlight === other.inFlight && lastUsed <= other.lastUsed),
            ).toBe(true)
          }
          expect(answer.because === 'all_ejected').toBe(healthy.length === 0)
        }
      }),
      { numRuns: 500 },
    )
  })

  test('equals are picked about equally often', () => {
    const endpoints = ['r-0', 'r-1', 'r-2'].map((name) => anEndpoint(name))
    const random = randomFrom(42)
    const counts: Record<string, number> = {}
    for (let index = 0; index < 3000; index++) {
      const answer = route({ model: 'chat', avoid: [] }, viewOf(endpoints), random)
      if (answer.kind === 'send') counts[answer.endpoint.replica] = (counts[answer.endpoint.replica] ?? 0) + 1
    }
    for (const name of ['r-0', 'r-1', 'r-2']) expect(counts[name]).toBeGreaterThan(850)
  })
})
