import { afterEach, describe, expect, it } from 'vitest'
import { FakeClock } from '../base/fake-clock.ts'
import { silentLog } from '../base/log.ts'
import { seededRandom } from '../base/random.ts'
import { openMemoryStore } from '../store/memory-store.ts'
import type { Store } from '../store/store.ts'
import { ClusterCache } from './cluster-cache.ts'
import { runElection, type Term } from './leader.ts'
import { ONLY, tables } from './records.ts'

const running: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const stop of running.splice(0)) await stop()
})

describe('runElection', () => {
  it('lets exactly one of two servers lead', async () => {
    const world = openWorld()
    const [a, b] = [world.server('a'), world.server('b')]
    await world.clock.advance(60_000)
    expect([a, b].filter((server) => server.leads())).toHaveLength(1)
    expect(a.terms.length + b.terms.length).toBe(1)
  })

  it('hands over within a moment when the leader stops in order', async () => {
    const world = openWorld()
    const a = world.server('a')
    await world.clock.advance(1_000)
    const b = world.server('b')
    await world.clock.advance(1_000)
    expect([a.leads(), b.leads()]).toEqual([true, false])
    await a.stop()
    await world.clock.advance(1_000)
    expect(b.leads()).toBe(true)
  })

  it('ends the term before another server can begin one when the store is out of reach', async () => {
    const world = openWorld()
    const a = world.server('a')
    await world.clock.advance(1_000)
    const b = world.server('b')
    await world.clock.advance(1_000)
    a.cut()
    for (let tick = 0; tick < 200 && !b.leads(); tick++) {
      await world.clock.advance(100)
      expect(a.leads() && b.leads()).toBe(false)
    }
    expect(b.leads()).toBe(true)
    expect(a.leads()).toBe(false)
  })

  it('gives each term a later revision, so that writes of an ended one conflict', async () => {
    const world = openWorld()
    const a = world.server('a')
    await world.clock.advance(1_000)
    const b = world.server('b')
    const old = a.terms[0]!
    a.cut()
    await world.clock.advance(30_000)
    const now = b.terms[0]!
    expect(now.modRevision).toBeGreaterThan(old.modRevision)
    const fence = { key: tables.leader.key(ONLY), modRevision: old.modRevision }
    const late = await world.store.txn([fence], [{ kind: 'put', key: '/yard/v1/models/x', value: '{}' }])
    expect(late.kind).toBe('conflict')
  })

  it('takes over its own term at once after a restart under the same name', async () => {
    const world = openWorld()
    const before = world.server('a')
    await world.clock.advance(1_000)
    before.cut()
    const after = world.server('a')
    await world.clock.advance(500)
    expect(after.leads()).toBe(true)
  })

  it('leads again after what it leads ended by itself', async () => {
    const world = openWorld()
    const a = world.server('a', async () => {})
    await world.clock.advance(5_000)
    expect(a.terms.length).toBeGreaterThan(1)
  })
})

function openWorld() {
  const clock = new FakeClock()
  const store = openMemoryStore({ clock })
  return {
    clock,
    store,
    server(serverId: string, lead: (term: Term) => Promise<void> = untilEnd) {
      const stopping = new AbortController()
      const link = { cut: false }
      const own = cuttable(store, link)
      const random = seededRandom(serverId.charCodeAt(0))
      const deps = { store: own, clock, random, log: silentLog }
      const cache = new ClusterCache(deps)
      const terms: Term[] = []
      const all = Promise.all([
        cache.run(stopping.signal),
        runElection(
          { ...deps, cache, serverId },
          (term) => {
            terms.push(term)
            return lead(term)
          },
          stopping.signal,
        ),
      ])
      const stop = async () => {
        stopping.abort()
        await clock.advance(60_000)
        await all
      }
      running.push(stop)
      return {
        terms,
        stop,
        leads: () => terms.length > 0 && !terms.at(-1)!.signal.aborted,
        cut() {
          link.cut = true
        },
      }
    },
  }
}

function untilEnd(term: Term): Promise<void> {
  return new Promise((resolve) => term.signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** A store whose calls never answer once the link is cut. */
function cuttable(store: Store, link: { cut: boolean }): Store {
  const guard = <Value>(call: () => Promise<Value>): Promise<Value> =>
    link.cut ? new Promise(() => {}) : call()
  return {
    get: (key) => guard(() => store.get(key)),
    list: (prefix, options) => guard(() => store.list(prefix, options)),
    txn: (compare, ops) => guard(() => store.txn(compare, ops)),
    watch: (prefix, after, signal) => store.watch(prefix, after, signal),
    grantLease: (ttlMs) => guard(() => store.grantLease(ttlMs)),
    keepAlive: (leaseId) => guard(() => store.keepAlive(leaseId)),
    revokeLease: (leaseId) => guard(() => store.revokeLease(leaseId)),
    compact: (revision) => guard(() => store.compact(revision)),
    close: () => store.close(),
  }
}
