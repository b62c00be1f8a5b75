import { expect } from 'vitest'
import { isYardError } from '../base/errors.ts'
import { TXN_MAX_BYTES } from './limits.ts'
import type { ChangeSet, Op } from './store.ts'
import { collect, type It, put, remove, revisionOf, take } from './store-world.testing.ts'

export function watching(it: It): void {
  it('delivers each revision whole, once, in order, each change in the order of the ops', async ({
    store,
  }) => {
    const from = await revisionOf(store)
    const seen = take(store, '/w/', from, 4)
    await put(store, '/w/b', '1')
    await store.txn(
      [],
      [
        { kind: 'put', key: '/w/z', value: '2' },
        { kind: 'delete', key: '/w/b' },
        { kind: 'put', key: '/w/a', value: '3' },
      ],
    )
    await put(store, '/w/z', '4')
    await remove(store, '/w/z')
    const at = (n: number) => from + n
    expect(await seen).toEqual([
      { revision: at(1), changes: [{ kind: 'put', key: '/w/b', value: '1', ...made(at(1), at(1)) }] },
      {
        revision: at(2),
        changes: [
          { kind: 'put', key: '/w/z', value: '2', ...made(at(2), at(2)) },
          { kind: 'delete', key: '/w/b', modRevision: at(2) },
          { kind: 'put', key: '/w/a', value: '3', ...made(at(2), at(2)) },
        ],
      },
      { revision: at(3), changes: [{ kind: 'put', key: '/w/z', value: '4', ...made(at(2), at(3)) }] },
      { revision: at(4), changes: [{ kind: 'delete', key: '/w/z', modRevision: at(4) }] },
    ])
  })

  it('shows only the changes under the prefix, and no revision that has none', async ({ store }) => {
    const from = await revisionOf(store)
    await put(store, '/other', '1')
    await store.txn(
      [],
      [
        { kind: 'put', key: '/w/a', value: '1' },
        { kind: 'put', key: '/other', value: '2' },
      ],
    )
    await put(store, '/w', '1')
    await put(store, '/w/b', '1')
    const sets = await take(store, '/w/', from, 2)
    expect(sets.map((s) => [s.revision - from, s.changes.map((c) => c.key)])).toEqual([
      [2, ['/w/a']],
      [4, ['/w/b']],
    ])
  })

  it('the empty prefix watches everything', async ({ store }) => {
    const from = await revisionOf(store)
    await put(store, 'a', '1')
    await put(store, '🚂', '1')
    const sets = await take(store, '', from, 2)
    expect(sets.flatMap((s) => s.changes.map((c) => c.key))).toEqual(['a', '🚂'])
  })

  it('begins right after the revision it is given, in the past, now or in the future', async ({ store }) => {
    const from = await revisionOf(store)
    const future = take(store, '/w/', from + 3, 1)
    for (const value of ['1', '2', '3', '4', '5']) await put(store, '/w/a', value)
    const revisions = async (after: number, count: number) =>
      (await take(store, '/w/', after, count)).map((s) => s.revision - from)
    expect(await revisions(from, 5)).toEqual([1, 2, 3, 4, 5])
    expect(await revisions(from + 2, 3)).toEqual([3, 4, 5])
    expect((await future).map((s) => s.revision - from)).toEqual([4])
    const next = take(store, '/w/', from + 5, 1)
    await remove(store, '/w/a')
    expect((await next).map((s) => s.revision - from)).toEqual([6])
  })

  it('after a list, a watch from its revision misses nothing and repeats nothing', async ({ store }) => {
    const writing = (async () => {
      for (let n = 0; n < 60; n++) await put(store, `/w/${n}`, String(n))
    })()
    const list = await store.list('/w/')
    const rest = await take(store, '/w/', list.revision, 60 - list.entries.length)
    await writing
    const keys = [...list.entries.map((e) => e.key), ...rest.flatMap((s) => s.changes.map((c) => c.key))]
    expect(new Set(keys).size).toBe(60)
    expect(keys).toHaveLength(60)
  })

  it('many watchers each get everything', async ({ store }) => {
    const from = await revisionOf(store)
    const watchers = Array.from({ length: 10 }, () => take(store, '/w/', from, 30))
    await Promise.all(Array.from({ length: 30 }, (_, n) => put(store, `/w/${n}`, '')))
    for (const sets of await Promise.all(watchers)) {
      expect(sets.map((s) => s.revision)).toEqual(Array.from({ length: 30 }, (_, n) => from + 1 + n))
    }
  })

  it('delivers revisions too large for one message whole', async ({ store }) => {
    const from = await revisionOf(store)
    const value = 'v'.repeat(Math.floor(TXN_MAX_BYTES / 100) - 20)
    const ops = (round: string): Op[] =>
      Array.from({ length: 100 }, (_, n) => ({ kind: 'put', key: `/w/${n}`, value: round + value }))
    for (const round of ['a', 'b', 'c']) await store.txn([], ops(round))
    const sets = await take(store, '/w/', from, 3)
    expect(sets.map((s) => s.changes.length)).toEqual([100, 100, 100])
    expect(
      sets.map((s) => s.changes.every((c) => c.kind === 'put' && c.value.length > value.length)),
    ).toEqual([true, true, true])
  })

  it('ends when its signal aborts, also when it already has', async ({ store }) => {
    const from = await revisionOf(store)
    await put(store, '/w/a', '1')
    expect(await collect(store.watch('/w/', from, AbortSignal.abort()))).toEqual([])
    const stop = new AbortController()
    const sets: ChangeSet[] = []
    for await (const set of store.watch('/w/', from, stop.signal)) {
      sets.push(set)
      if (sets.length === 2) stop.abort()
      else await put(store, '/w/b', '1')
    }
    expect(sets).toHaveLength(2)
    const waiting = new AbortController()
    const idle = collect(store.watch('/w/', from + 2, waiting.signal))
    await put(store, '/elsewhere', '1')
    waiting.abort()
    expect(await idle).toEqual([])
  })

  it('can be left in the middle, and the store goes on', async ({ store }) => {
    const from = await revisionOf(store)
    await put(store, '/w/a', '1')
    await put(store, '/w/b', '1')
    for await (const set of store.watch('/w/', from, new AbortController().signal)) {
      expect(set.revision).toBe(from + 1)
      break
    }
    expect(await put(store, '/w/c', '1')).toBe(from + 3)
  })

  it('refuses what is not a revision', async ({ store }) => {
    const signal = new AbortController().signal
    for (const bad of [-1, 1.5, Number.NaN]) {
      await expect(collect(store.watch('/w/', bad, signal))).rejects.toSatisfy((e) =>
        isYardError(e, 'invalid_request'),
      )
    }
  })
}

export function compaction(it: It): void {
  it('forgets history before the revision, keeps entries and what came since', async ({ store }) => {
    const from = await revisionOf(store)
    await put(store, '/w/a', '1')
    await put(store, '/w/b', '1')
    await remove(store, '/w/a')
    await put(store, '/w/c', '1')
    await store.compact(from + 3)
    await expect(take(store, '/w/', from, 1)).rejects.toSatisfy((e) => isYardError(e, 'compacted'))
    await expect(take(store, '/w/', from + 1, 1)).rejects.toSatisfy((e) => isYardError(e, 'compacted'))
    // The first revision that is kept is a delete, which etcd before 3.4.36 and 3.5.18 can lose.
    const kept = await take(store, '/w/', from + 2, 2)
    expect(kept.map((s) => [s.revision - from, s.changes[0]?.kind])).toEqual([
      [3, 'delete'],
      [4, 'put'],
    ])
    expect((await store.list('/w/')).entries.map((e) => e.key)).toEqual(['/w/b', '/w/c'])
    expect((await store.get('/w/b'))?.createRevision).toBe(from + 2)
  })

  it('is asked twice without harm, and cannot forget the future', async ({ store }) => {
    const revision = await put(store, 'a', '1')
    await store.compact(revision)
    await store.compact(revision)
    await store.compact(1)
    await store.compact(0)
    await expect(store.compact(revision + 2)).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(store.compact(-1)).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
  })

  it('can forget everything so far, and goes on from there', async ({ store }) => {
    const revision = await put(store, '/w/a', '1')
    await store.compact(revision + 1)
    await expect(take(store, '/w/', revision - 1, 1)).rejects.toSatisfy((e) => isYardError(e, 'compacted'))
    const next = take(store, '/w/', revision, 1)
    await put(store, '/w/a', '2')
    expect((await next).map((s) => s.revision)).toEqual([revision + 1])
  })

  it('a watch that waits is not disturbed by compaction up to where it is', async ({ store }) => {
    const from = await put(store, '/w/a', '1')
    const next = take(store, '/w/', from, 1)
    await store.compact(from)
    await put(store, '/w/a', '2')
    expect((await next).map((s) => s.revision)).toEqual([from + 1])
  })
}

function made(createRevision: number, modRevision: number): { createRevision: number; modRevision: number } {
  return { createRevision, modRevision }
}
