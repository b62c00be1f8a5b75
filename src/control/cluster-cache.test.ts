import { describe, expect, it } from 'vitest'
import { YardError } from '../base/errors.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { silentLog } from '../base/log.ts'
import { openMemoryStore } from '../store/memory-store.ts'
import type { Store } from '../store/store.ts'
import { ClusterCache, type RowChange } from './cluster-cache.ts'
import { tables } from './records.ts'

describe('ClusterCache', () => {
  it('shows what the store holds, whole revisions at a time', async () => {
    await using world = start()
    await world.put('a', 'b')
    expect(world.names()).toEqual(['a', 'b'])
    const seen: string[][] = []
    world.cache.onChange(
      (changes) => void seen.push([...changes.map((change) => change.name), ...world.names()]),
    )
    await world.store.txn([], [del('a'), planOf('c')])
    await world.clock.advance(0)
    expect(seen).toEqual([['a', 'c', 'b', 'c']])
  })

  it('tells what was there before and what is there now', async () => {
    await using world = start()
    await world.put('a')
    const changes: RowChange[] = []
    world.cache.onChange((some) => void changes.push(...some))
    await world.store.txn([], [del('a')])
    await world.clock.advance(0)
    expect(changes).toEqual([{ kind: 'plan', name: 'a', before: { planVersion: 1, committedAtMs: 0 } }])
  })

  it('lists anew when the history that it needs is gone, and tells only what changed', async () => {
    const link = { broken: false }
    await using world = start((store) => breakable(store, link))
    await world.put('a', 'b')
    link.broken = true
    world.end()
    await world.clock.advance(0)
    await world.store.txn([], [del('a'), planOf('c')])
    await world.store.compact((await world.store.list('')).revision)
    const changes: RowChange[] = []
    world.cache.onChange((some) => void changes.push(...some))
    expect(world.names()).toEqual(['a', 'b'])
    link.broken = false
    await world.clock.advance(20_000)
    expect(world.names()).toEqual(['b', 'c'])
    expect(changes.map((change) => change.name).sort()).toEqual(['a', 'c'])
  })

  it('keeps what it knows while the store is away, says how old that is, and catches up', async () => {
    const link = { broken: false }
    await using world = start((store) => breakable(store, link))
    await world.put('a')
    link.broken = true
    world.end()
    await world.clock.advance(60_000)
    expect(world.names()).toEqual(['a'])
    expect(world.cache.freshness()).toMatchObject({ synced: true, connected: false })
    expect(world.cache.freshness().contactAgeMs).toBeGreaterThanOrEqual(55_000)
    await world.store.txn([], [planOf('b')])
    link.broken = false
    await world.clock.advance(6_000)
    expect(world.names()).toEqual(['a', 'b'])
    expect(world.cache.freshness()).toMatchObject({ synced: true, connected: true })
  })

  it('never reads a record that it can not read as one that is not there', async () => {
    await using world = start()
    const key = tables.plan.key('a')
    await world.store.txn([], [{ kind: 'put', key, value: '{"schema":99,"value":{}}' }])
    await world.clock.advance(0)
    expect(world.cache.unreadable).toBe(1)
    expect(world.cache.modRevision(key)).toBeGreaterThan(0)
    expect(() => world.cache.get(tables.plan, 'a')).toThrow(
      expect.objectContaining({ code: 'record_unreadable' }),
    )
    expect(() => world.cache.assertReadable()).toThrow(expect.objectContaining({ reason: 'newer' }))
    await world.put('a')
    expect(world.cache.unreadable).toBe(0)
    expect(() => world.cache.assertReadable()).not.toThrow()
  })

  it('waits until something holds, no longer than asked, and not for a caller who left', async () => {
    await using world = start()
    const known = world.cache.waitUntil(() => world.names().includes('x'), 60_000)
    await world.put('x')
    expect(await known).toBe(true)
    const never = world.cache.waitUntil(() => false, 1_000)
    await world.clock.advance(1_000)
    expect(await never).toBe(false)
    const leaving = new AbortController()
    const left = world.cache.waitUntil(() => false, 60_000, leaving.signal)
    leaving.abort()
    expect(await left).toBe(false)
  })
})

const planOf = (name: string) => tables.plan.put(name, { planVersion: 1, committedAtMs: 0 })
const del = (name: string) => ({ kind: 'delete', key: tables.plan.key(name) }) as const

function start(wrap: (store: Store) => Store = (store) => store) {
  const clock = new FakeClock()
  const store = openMemoryStore({ clock })
  const cache = new ClusterCache({ store: wrap(store), clock, random: () => 0.5, log: silentLog })
  const stopping = new AbortController()
  const running = cache.run(stopping.signal)
  return {
    clock,
    store,
    cache,
    end: () => ends.get(store)?.(),
    names: () => cache.all(tables.plan).map((row) => row.name),
    async put(...names: string[]) {
      await store.txn([], names.map(planOf))
      await clock.advance(0)
    },
    async [Symbol.asyncDispose]() {
      stopping.abort()
      await clock.advance(60_000)
      await running
    },
  }
}

/** How to end the watch that is open on a store. */
const ends = new WeakMap<Store, () => void>()

/** A store that answers nothing while the link is broken; `end` breaks the open watch as well. */
function breakable(store: Store, link: { broken: boolean }): Store {
  const away = () => new YardError('store_unavailable', 'the store is away')
  const guard = <Value>(call: () => Promise<Value>) => (link.broken ? Promise.reject(away()) : call())
  return {
    get: (key) => guard(() => store.get(key)),
    list: (prefix, options) => guard(() => store.list(prefix, options)),
    txn: (compare, ops) => guard(() => store.txn(compare, ops)),
    async *watch(prefix, after, signal) {
      if (link.broken) throw away()
      const own = new AbortController()
      ends.set(store, () => own.abort())
      yield* store.watch(prefix, after, AbortSignal.any([signal, own.signal]))
      if (!signal.aborted) throw away()
    },
    grantLease: (ttlMs) => store.grantLease(ttlMs),
    keepAlive: (leaseId) => store.keepAlive(leaseId),
    revokeLease: (leaseId) => store.revokeLease(leaseId),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
  }
}
