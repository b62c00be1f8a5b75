import { expect } from 'vitest'
import { isYardError } from '../base/errors.ts'
import { LEASE_MAX_TTL_MS } from './limits.ts'
import type { Op } from './store.ts'
import { collect, type It, put, putWith, remove, take } from './store-world.testing.ts'

export function leases(it: It): void {
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

export function closing(it: It): void {
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
