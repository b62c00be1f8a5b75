import { describe, expect, test } from 'vitest'
import { isYardError } from '../base/errors.ts'
import { LEASE_MAX_TTL_MS, TXN_MAX_BYTES, TXN_MAX_OPS } from './limits.ts'
import type { ChangeSet, Op, Store } from './store.ts'

/** A store for one test, empty under every prefix. */
export interface StoreWorld extends AsyncDisposable {
  readonly store: Store
  /** Lets the store's time pass: a fake clock jumps, a real one is waited for. */
  pass(byMs: number): Promise<void>
}

/** `untouched`: nothing was ever written to it, by another test neither. */
export type OpenWorld = (needs: { readonly untouched: boolean }) => Promise<StoreWorld>

/** Every sentence of `store.ts`, for one driver. */
export function storeConformance(name: string, open: OpenWorld): void {
  const it: It = (sentence, run, needs = { untouched: false }) => {
    test(sentence, async () => {
      await using world = await open(needs)
      await run(world)
    })
  }
  describe(`${name} store`, () => {
    describe('entries', () => entries(it))
    describe('listing', () => listing(it))
    describe('transactions', () => transactions(it))
    describe('watching', () => watching(it))
    describe('compaction', () => compaction(it))
    describe('leases', () => leases(it))
    describe('closing', () => closing(it))
  })
}

type It = (
  sentence: string,
  run: (world: StoreWorld) => Promise<void>,
  needs?: { readonly untouched: boolean },
) => void

function entries(it: It): void {
  it(
    'a new store is empty and at revision 1',
    async ({ store }) => {
      expect(await store.list('')).toEqual({ revision: 1, entries: [] })
      expect(await put(store, 'a', '1')).toBe(2)
      expect((await take(store, '', 0, 1)).map((set) => set.revision)).toEqual([2])
    },
    { untouched: true },
  )

  it('a key that was never put is undefined', async ({ store }) => {
    expect(await store.get('a')).toBeUndefined()
  })

  it('the first put makes a key, later puts change it', async ({ store }) => {
    const made = await put(store, 'a', '1')
    expect(await store.get('a')).toEqual({ key: 'a', value: '1', createRevision: made, modRevision: made })
    const changed = await put(store, 'a', '2')
    expect(changed).toBe(made + 1)
    expect(await store.get('a')).toEqual({ key: 'a', value: '2', createRevision: made, modRevision: changed })
  })

  it('putting the value that is already there is a change', async ({ store }) => {
    const made = await put(store, 'a', '1')
    expect(await put(store, 'a', '1')).toBe(made + 1)
  })

  it('a key that is put again after a delete is a new key', async ({ store }) => {
    const made = await put(store, 'a', '1')
    expect(await remove(store, 'a')).toBe(made + 1)
    expect(await store.get('a')).toBeUndefined()
    expect(await put(store, 'a', '2')).toBe(made + 2)
    expect(await store.get('a')).toMatchObject({ createRevision: made + 2, modRevision: made + 2 })
  })

  it('an empty value is a value', async ({ store }) => {
    await put(store, 'a', '')
    expect(await store.get('a')).toMatchObject({ value: '' })
  })

  it('keys and values come back as they went in, whatever their characters', async ({ store }) => {
    const odd = 'a\u0000b\n\t"\\\u2028 é 火车 🚂 \uffff'
    await put(store, odd, odd)
    expect(await store.get(odd)).toMatchObject({ key: odd, value: odd })
    expect((await store.list('a\u0000')).entries).toMatchObject([{ key: odd, value: odd }])
  })

  it('an empty key and text that UTF-8 cannot hold are refused', async ({ store }) => {
    await expect(store.get('')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(store.get('\ud83d')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(store.list('\ud83d')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(put(store, 'a', '\udc00')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    await expect(store.txn([{ key: '', modRevision: 0 }], [])).rejects.toSatisfy((e) =>
      isYardError(e, 'invalid_request'),
    )
  })
}

function listing(it: It): void {
  it('lists what begins with the prefix and nothing else', async ({ store }) => {
    for (const key of ['/a', '/a/1', '/a/2', '/ab', '/b/1']) await put(store, key, key)
    const list = await store.list('/a/')
    expect(list.entries.map((e) => e.key)).toEqual(['/a/1', '/a/2'])
    expect((await store.list('/c')).entries).toEqual([])
  })

  it('the empty prefix lists everything', async ({ store }) => {
    for (const key of ['b', '\u0001', '🚂', '\uffff']) await put(store, key, key)
    expect((await store.list('')).entries.map((e) => e.key)).toEqual(['\u0001', 'b', '\uffff', '🚂'])
  })

  it('keys are in the order of their UTF-8 bytes, also where UTF-16 has another', async ({ store }) => {
    const keys = ['z', 'é', 'a/b', 'a', 'a!', '\uffee', '🚂', '𐀀', '中', 'Z', '0', 'a\u0000']
    for (const key of keys) await put(store, `/${key}`, '')
    const sorted = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect((await store.list('/')).entries.map((e) => e.key.slice(1))).toEqual(sorted)
  })

  it('says the revision that the entries are of', async ({ store }) => {
    await put(store, '/a', '1')
    const revision = await put(store, '/elsewhere', '1')
    expect((await store.list('/a')).revision).toBe(revision)
    expect((await store.list('/none')).revision).toBe(revision)
  })

  it('stops at the limit', async ({ store }) => {
    for (const key of ['/a', '/b', '/c']) await put(store, key, key)
    expect((await store.list('/', { limit: 2 })).entries.map((e) => e.key)).toEqual(['/a', '/b'])
    expect((await store.list('/', { limit: 9 })).entries).toHaveLength(3)
    await expect(store.list('/', { limit: 0 })).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
  })

  it('lists more entries than one transaction or one message holds', async ({ store }) => {
    const keys = Array.from({ length: 700 }, (_, n) => `/many/${String(n).padStart(4, '0')}`)
    for (let at = 0; at < keys.length; at += TXN_MAX_OPS) {
      await store.txn(
        [],
        keys.slice(at, at + TXN_MAX_OPS).map((key) => ({ kind: 'put', key, value: key })),
      )
    }
    expect((await store.list('/many/')).entries.map((e) => e.value)).toEqual(keys)
    expect((await store.list('/many/', { limit: 600 })).entries.map((e) => e.key)).toEqual(keys.slice(0, 600))
  })
}

function transactions(it: It): void {
  it('applies when every compare holds, all at one revision', async ({ store }) => {
    const a = await put(store, 'a', '1')
    const result = await store.txn(
      [
        { key: 'a', modRevision: a },
        { key: 'b', modRevision: 0 },
      ],
      [
        { kind: 'put', key: 'b', value: '2' },
        { kind: 'put', key: 'c', value: '3' },
        { kind: 'delete', key: 'a' },
      ],
    )
    expect(result).toEqual({ kind: 'committed', revision: a + 1 })
    const list = await store.list('')
    expect(list.revision).toBe(a + 1)
    expect(list.entries.map((e) => [e.key, e.value, e.modRevision])).toEqual([
      ['b', '2', a + 1],
      ['c', '3', a + 1],
    ])
  })

  it('a conflict names the keys whose compare did not hold, and applies nothing', async ({ store }) => {
    const a = await put(store, 'a', '1')
    const b = await put(store, 'b', '1')
    const result = await store.txn(
      [
        { key: 'a', modRevision: a - 1 },
        { key: 'b', modRevision: b },
        { key: 'absent', modRevision: b },
        { key: 'b2', modRevision: 0 },
        { key: 'b', modRevision: 0 },
      ],
      [{ kind: 'put', key: 'c', value: '1' }],
    )
    expect(result).toEqual({ kind: 'conflict', revision: b, conflicts: ['a', 'absent', 'b'] })
    expect(await store.get('c')).toBeUndefined()
  })

  it('a transaction that changes nothing is committed at the present revision', async ({ store }) => {
    const revision = await put(store, 'a', '1')
    expect(await store.txn([], [])).toEqual({ kind: 'committed', revision })
    expect(await store.txn([{ key: 'a', modRevision: revision }], [])).toEqual({
      kind: 'committed',
      revision,
    })
    const absent = await store.txn([], [{ kind: 'delete', key: 'x' }])
    expect(absent).toEqual({ kind: 'committed', revision })
    expect((await store.list('')).revision).toBe(revision)
  })

  it('a key twice in one transaction is refused', async ({ store }) => {
    const twice: Op[] = [
      { kind: 'put', key: 'a', value: '1' },
      { kind: 'delete', key: 'a' },
    ]
    await expect(store.txn([], twice)).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    expect(await store.get('a')).toBeUndefined()
  })

  it('takes as many ops and bytes as it promises, and refuses more', async ({ store }) => {
    const many = (count: number): Op[] =>
      Array.from({ length: count }, (_, n) => ({ kind: 'put', key: `/n/${n}`, value: '' }))
    const compares = many(TXN_MAX_OPS).map(({ key }) => ({ key, modRevision: 0 }))
    expect(await store.txn(compares, many(TXN_MAX_OPS))).toMatchObject({ kind: 'committed' })
    expect(await store.txn(compares, [])).toMatchObject({
      kind: 'conflict',
      conflicts: compares.map((c) => c.key),
    })
    await expect(store.txn([], many(TXN_MAX_OPS + 1))).rejects.toSatisfy((e) =>
      isYardError(e, 'invalid_request'),
    )
    await expect(store.txn([...compares, { key: 'x', modRevision: 0 }], [])).rejects.toSatisfy((e) =>
      isYardError(e, 'invalid_request'),
    )
    const large = '火'.repeat(Math.floor((TXN_MAX_BYTES - 1) / 3))
    await put(store, 'l', large)
    expect((await store.get('l'))?.value).toBe(large)
    await expect(put(store, 'l', `${large}火`)).rejects.toSatisfy((e) => isYardError(e, 'too_large'))
  })

  it('concurrent transactions on one key never lose an update', async ({ store }) => {
    const committed: number[] = []
    const increment = async () => {
      for (;;) {
        const now = await store.get('n')
        const result = await store.txn(
          [{ key: 'n', modRevision: now?.modRevision ?? 0 }],
          [{ kind: 'put', key: 'n', value: String(Number(now?.value ?? 0) + 1) }],
        )
        if (result.kind === 'committed') return committed.push(result.revision)
        // What the conflict was with can be read at once.
        expect((await store.get('n'))?.modRevision ?? 0).toBeGreaterThan(now?.modRevision ?? 0)
      }
    }
    await Promise.all(Array.from({ length: 20 }, increment))
    expect((await store.get('n'))?.value).toBe('20')
    expect(new Set(committed).size).toBe(20)
  })

  it('a finished write is seen by every read that begins after it', async ({ store }) => {
    await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const revision = await put(store, `/w/${n}`, String(n))
        expect((await store.get(`/w/${n}`))?.modRevision).toBe(revision)
        expect((await store.list('/w/')).revision).toBeGreaterThanOrEqual(revision)
      }),
    )
  })
}

function watching(it: It): void {
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

function compaction(it: It): void {
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

function leases(it: It): void {
  it('an entry names its lease', async ({ store }) => {
    const leaseId = await store.grantLease(60_000)
    await putWith(store, '/l/a', leaseId)
    expect(await store.get('/l/a')).toMatchObject({ leaseId })
    expect((await store.list('/l/')).entries).toMatchObject([{ leaseId }])
  })

  it('a lease that is not kept alive takes its keys with it, in one revision', async ({ store, pass }) => {
    const leaseId = await store.grantLease(1_000)
    for (const key of ['/l/b', '/l/a', '/l/🚂', '/l/\uffff']) await putWith(store, key, leaseId)
    const from = await put(store, '/l/free', '1')
    const gone = take(store, '/l/', from, 1)
    await pass(1_000)
    const [set] = await gone
    const revision = from + 1
    expect(set).toEqual({
      revision,
      changes: ['/l/a', '/l/b', '/l/\uffff', '/l/🚂'].map((key) => ({
        kind: 'delete',
        key,
        modRevision: revision,
      })),
    })
    expect((await store.list('/l/')).entries.map((e) => e.key)).toEqual(['/l/free'])
    expect(await store.keepAlive(leaseId)).toBe(false)
  })

  it('a lease that is kept alive outlives one that is not', async ({ store, pass }) => {
    const kept = await store.grantLease(2_000)
    const left = await store.grantLease(2_000)
    await putWith(store, '/l/kept', kept)
    const from = await putWith(store, '/l/left', left)
    const gone = take(store, '/l/', from, 1)
    for (let round = 0; (await store.get('/l/left')) !== undefined; round++) {
      expect(await store.keepAlive(kept)).toBe(true)
      expect(round).toBeLessThan(40)
      await pass(500)
    }
    expect((await gone)[0]?.changes.map((c) => c.key)).toEqual(['/l/left'])
    expect(await store.get('/l/kept')).toBeDefined()
    expect(await store.keepAlive(kept)).toBe(true)
  })

  it('revoking takes the keys at once, in one revision, and the lease with them', async ({ store }) => {
    const leaseId = await store.grantLease(60_000)
    await putWith(store, '/l/b', leaseId)
    const from = await putWith(store, '/l/a', leaseId)
    await store.revokeLease(leaseId)
    expect(await store.list('/l/')).toEqual({ revision: from + 1, entries: [] })
    expect((await take(store, '/l/', from, 1))[0]?.changes.map((c) => c.key)).toEqual(['/l/a', '/l/b'])
    expect(await store.keepAlive(leaseId)).toBe(false)
    await store.revokeLease(leaseId)
    await expect(putWith(store, '/l/a', leaseId)).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
  })

  it('a lease without keys comes and goes without a revision', async ({ store }) => {
    const from = await put(store, 'a', '1')
    const leaseId = await store.grantLease(60_000)
    await store.revokeLease(leaseId)
    expect((await store.list('')).revision).toBe(from)
  })

  it('a key belongs to the lease of its last put only', async ({ store }) => {
    const first = await store.grantLease(60_000)
    const second = await store.grantLease(60_000)
    expect(first).not.toBe(second)
    for (const key of ['/l/freed', '/l/moved', '/l/again', '/l/stays']) await putWith(store, key, first)
    await put(store, '/l/freed', '2')
    await putWith(store, '/l/moved', second)
    await remove(store, '/l/again')
    await put(store, '/l/again', '2')
    await store.revokeLease(first)
    const left = (await store.list('/l/')).entries
    expect(left.map((e) => [e.key, e.leaseId])).toEqual([
      ['/l/again', undefined],
      ['/l/freed', undefined],
      ['/l/moved', second],
    ])
    await store.revokeLease(second)
    expect((await store.list('/l/')).entries.map((e) => e.key)).toEqual(['/l/again', '/l/freed'])
  })

  it('a put with an unknown lease is refused with all its transaction, unless a compare fails first', async ({
    store,
  }) => {
    const revision = await put(store, 'a', '1')
    const ops: Op[] = [
      { kind: 'put', key: 'b', value: '1' },
      { kind: 'put', key: 'c', value: '1', leaseId: '123456789' },
    ]
    await expect(store.txn([], ops)).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    expect((await store.list('')).entries.map((e) => e.key)).toEqual(['a'])
    const conflict = await store.txn([{ key: 'a', modRevision: 0 }], ops)
    expect(conflict).toEqual({ kind: 'conflict', revision, conflicts: ['a'] })
  })

  it('an unknown lease cannot be kept alive, and revoking it does nothing', async ({ store }) => {
    expect(await store.keepAlive('123456789')).toBe(false)
    expect(await store.keepAlive('not-an-id')).toBe(false)
    await store.revokeLease('123456789')
    await store.revokeLease('not-an-id')
    await expect(putWith(store, 'a', 'not-an-id')).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
  })

  it('refuses what is not a TTL', async ({ store }) => {
    for (const bad of [0, -1, 0.5, Number.NaN, LEASE_MAX_TTL_MS + 1]) {
      await expect(store.grantLease(bad)).rejects.toSatisfy((e) => isYardError(e, 'invalid_request'))
    }
  })
}

function closing(it: It): void {
  it('after close every call rejects with store_unavailable, and a running watch throws it', async ({
    store,
  }) => {
    const from = await put(store, 'a', '1')
    const leaseId = await store.grantLease(60_000)
    const signal = new AbortController().signal
    const running = collect(store.watch('', from, signal))
    const ended = expect(running).rejects.toSatisfy((e) => isYardError(e, 'store_unavailable'))
    await store.close()
    await ended
    const calls = [
      () => store.get('a'),
      () => store.list(''),
      () => store.txn([], []),
      () => collect(store.watch('', 1, signal)),
      () => store.grantLease(1_000),
      () => store.keepAlive(leaseId),
      () => store.revokeLease(leaseId),
      () => store.compact(1),
    ]
    for (const call of calls)
      await expect(call()).rejects.toSatisfy((e) => isYardError(e, 'store_unavailable'))
    await store.close()
  })
}

/** The revision of a put, which must commit. */
export async function put(store: Store, key: string, value: string): Promise<number> {
  return committed(store, { kind: 'put', key, value })
}

/** The first `count` change sets of a watch, which is then ended. */
export async function take(
  store: Store,
  prefix: string,
  afterRevision: number,
  count: number,
): Promise<ChangeSet[]> {
  const stop = new AbortController()
  const sets: ChangeSet[] = []
  if (count === 0) return sets
  for await (const set of store.watch(prefix, afterRevision, stop.signal)) {
    if (sets.push(set) === count) stop.abort()
  }
  return sets
}

async function collect(watch: AsyncIterable<ChangeSet>): Promise<ChangeSet[]> {
  const sets: ChangeSet[] = []
  for await (const set of watch) sets.push(set)
  return sets
}

function putWith(store: Store, key: string, leaseId: string): Promise<number> {
  return committed(store, { kind: 'put', key, value: '1', leaseId })
}

function remove(store: Store, key: string): Promise<number> {
  return committed(store, { kind: 'delete', key })
}

async function committed(store: Store, op: Op): Promise<number> {
  const result = await store.txn([], [op])
  expect(result.kind).toBe('committed')
  return result.revision
}

async function revisionOf(store: Store): Promise<number> {
  return (await store.list('')).revision
}

function made(createRevision: number, modRevision: number): { createRevision: number; modRevision: number } {
  return { createRevision, modRevision }
}
