import { expect, test } from 'vitest'
import { isYardError } from '../base/errors.ts'
import { FakeClock } from '../base/fake-clock.ts'
import { storeConformance } from './conformance.testing.ts'
import { openMemoryStore } from './memory-store.ts'
import { type OpenWorld, put, take } from './store-world.testing.ts'

const openWorld: OpenWorld = async () => {
  const clock = new FakeClock()
  const store = openMemoryStore({ clock })
  return {
    store,
    pass: (byMs) => clock.advance(byMs),
    [Symbol.asyncDispose]: () => store.close(),
  }
}

storeConformance('memory', openWorld)

test('a lease expires at its TTL and not a millisecond earlier, counted from the last keep-alive', async () => {
  const clock = new FakeClock()
  const store = openMemoryStore({ clock })
  const leaseId = await store.grantLease(1_000)
  await store.txn([], [{ kind: 'put', key: 'a', value: '1', leaseId }])
  await clock.advance(700)
  expect(await store.keepAlive(leaseId)).toBe(true)
  await clock.advance(999)
  expect(await store.get('a')).toBeDefined()
  await clock.advance(1)
  expect(await store.get('a')).toBeUndefined()
})

test('a store that stood still longer than half a TTL gives each lease its full TTL again', async () => {
  const clock = new FakeClock()
  let stalledMs = 0
  const stalling = {
    now: () => clock.now() + stalledMs,
    monotonicMs: () => clock.monotonicMs() + stalledMs,
    after: clock.after.bind(clock),
    sleep: clock.sleep.bind(clock),
  }
  const store = openMemoryStore({ clock: stalling })
  const leaseId = await store.grantLease(1_000)
  stalledMs = 501
  await clock.advance(1_000)
  expect(await store.keepAlive(leaseId)).toBe(true)
  await clock.advance(1_000)
  expect(await store.keepAlive(leaseId)).toBe(false)
})

test('a closed store leaves no timer behind', async () => {
  const clock = new FakeClock()
  const store = openMemoryStore({ clock })
  await store.grantLease(1_000)
  await store.close()
  expect(clock.pending).toBe(0)
})

test('history is bounded by count: the oldest revisions are compacted by themselves', async () => {
  const store = openMemoryStore({ clock: new FakeClock(), history: { maxRevisions: 100, maxBytes: 1e9 } })
  let last = 1
  for (let n = 0; n < 300; n++) last = await put(store, 'a', String(n))
  expect(await take(store, '', last - 100, 100)).toHaveLength(100)
  await expect(take(store, '', last - 101, 1)).rejects.toSatisfy((e) => isYardError(e, 'compacted'))
})

test('history is bounded by size, but keeps the newest revision', async () => {
  const store = openMemoryStore({ clock: new FakeClock(), history: { maxRevisions: 1e6, maxBytes: 100_000 } })
  let last = 1
  for (let n = 0; n < 20; n++) last = await put(store, 'a', 'x'.repeat(10_000))
  expect(await take(store, '', last - 4, 4)).toHaveLength(4)
  await expect(take(store, '', last - 5, 1)).rejects.toSatisfy((e) => isYardError(e, 'compacted'))
  last = await put(store, 'a', 'x'.repeat(1_000_000))
  expect(await take(store, '', last - 1, 1)).toHaveLength(1)
})

test('a reader that is slower than compaction is told so, not skipped over', async () => {
  const store = openMemoryStore({ clock: new FakeClock(), history: { maxRevisions: 10, maxBytes: 1e9 } })
  const from = await put(store, 'a', '0')
  const reader = store.watch('', from, new AbortController().signal)[Symbol.asyncIterator]()
  await put(store, 'a', '1')
  expect((await reader.next()).value).toMatchObject({ revision: from + 1 })
  for (let n = 0; n < 20; n++) await put(store, 'a', String(n))
  await expect(reader.next()).rejects.toSatisfy((e) => isYardError(e, 'compacted'))
})
