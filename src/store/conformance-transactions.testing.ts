import { expect } from 'vitest'
import { isYardError } from '../base/errors.ts'
import { TXN_MAX_BYTES, TXN_MAX_OPS } from './limits.ts'
import type { Op } from './store.ts'
import { type It, put } from './store-world.testing.ts'

export function transactions(it: It): void {
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
