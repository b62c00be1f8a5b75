import { describe, expect, test } from 'vitest'
import { type Etcd, etcdMissing, startEtcd } from '../../test/support/etcd.ts'
import { systemClock } from '../base/clock.ts'
import { isYardError } from '../base/errors.ts'
import { seededRandom } from '../base/random.ts'
import { type EtcdStoreOptions, openEtcdStore } from './etcd-store.ts'
import { TXN_MAX_OPS } from './limits.ts'
import type { ChangeSet, Store } from './store.ts'
import { put, take } from './store-world.testing.ts'

const missing = etcdMissing()
if (missing !== undefined) console.warn(`skipped: the etcd driver when etcd fails (${missing})`)

describe.skipIf(missing !== undefined)('when members fail', { timeout: 60_000 }, () => {
  test('a watch loses nothing and repeats nothing while each member in turn is killed', async () => {
    await using etcd = await startEtcd({ members: 3 })
    await using world = await open(etcd)
    const { store } = world
    const from = (await store.list('')).revision
    const stop = new AbortController()
    const sets: ChangeSet[] = []
    const watching = (async () => {
      for await (const set of store.watch('/w/', from, stop.signal)) sets.push(set)
    })()
    for (let member = 0; member < 3; member++) {
      const writing = putMany(store, 60)
      await etcd.kill(member)
      await writing
      await etcd.start(member)
    }
    const last = await putOnce(store, '/w/last')
    await until(() => (sets.at(-1)?.revision ?? 0) >= last)
    stop.abort()
    await watching
    expect(sets).toEqual(await take(store, '/w/', from, sets.length))
    expect(sets.at(-1)?.revision).toBe(last)
    expect(sets.length).toBeGreaterThan(180)
  })

  test('a member that hangs is left for another, within the time of one call', async () => {
    await using etcd = await startEtcd({ members: 3 })
    await using world = await open(etcd, { requestTimeoutMs: 10_000 })
    const revision = await put(world.store, 'a', '1')
    etcd.hang(0)
    expect((await world.store.get('a'))?.modRevision).toBe(revision)
    await putOnce(world.store, 'b')
    etcd.resume(0)
  })

  test('an etcd that restarts is waited for, and watches go on', async () => {
    await using etcd = await startEtcd()
    await using world = await open(etcd, { requestTimeoutMs: 20_000 })
    const from = await put(world.store, '/w/a', '1')
    const next = take(world.store, '/w/', from, 1)
    await etcd.kill(0)
    const read = world.store.get('/w/a')
    await etcd.start(0)
    expect((await read)?.modRevision).toBe(from)
    const revision = await put(world.store, '/w/b', '1')
    expect((await next).map((set) => set.revision)).toEqual([revision])
  })

  test('an etcd that stays away is reported by calls at their deadline and by watches after their budget', async () => {
    await using etcd = await startEtcd()
    await using world = await open(etcd, { requestTimeoutMs: 1_000, watchGiveUpMs: 1_000 })
    const watching = take(world.store, '', await put(world.store, 'a', '1'), 1)
    const gaveUp = expect(watching).rejects.toSatisfy((e) => isYardError(e, 'store_unavailable'))
    await etcd.kill(0)
    await expect(world.store.get('a')).rejects.toMatchObject({
      code: 'store_unavailable',
      reason: 'unreachable',
    })
    await gaveUp
  })

  test('opening says which endpoints did not answer', async () => {
    await expect(
      open({ endpoints: ['http://127.0.0.1:1'] }, { requestTimeoutMs: 300 }),
    ).rejects.toMatchObject({
      code: 'store_unavailable',
      message: expect.stringContaining('http://127.0.0.1:1'),
      hint: expect.stringContaining('Check that etcd runs'),
    })
  })
})

describe.skipIf(missing !== undefined)('with users and passwords', { timeout: 60_000 }, () => {
  const auth = { user: 'yard', password: 'p w"1' }

  test('works with the right password, and goes on when etcd has forgotten the token', async () => {
    await using etcd = await startEtcdWithUser(auth)
    await using world = await open(etcd, { auth, keyPrefix: '/ours' })
    const { store } = world
    const from = await put(store, '/a', '1')
    const leaseId = await store.grantLease(60_000)
    const next = take(store, '/', from, 1)
    // Simple tokens live in etcd's memory.
    await etcd.kill(0)
    await etcd.start(0)
    expect(await store.get('/a')).toMatchObject({ value: '1' })
    await etcd.kill(0)
    await etcd.start(0)
    const revision = await put(store, '/b', '1')
    expect((await next).map((set) => set.revision)).toEqual([revision])
    await etcd.kill(0)
    await etcd.start(0)
    expect(await take(store, '/', from, 1)).toHaveLength(1)
    expect(await store.keepAlive(leaseId)).toBe(true)
    await store.compact(revision)
  })

  test('a wrong password, a missing one and keys that the role may not touch are refused, with a hint', async () => {
    await using etcd = await startEtcdWithUser(auth)
    const refused = {
      code: 'store_unavailable',
      reason: 'refused',
      hint: expect.stringContaining('password'),
    }
    await expect(open(etcd, { auth: { ...auth, password: 'guess' } })).rejects.toMatchObject(refused)
    await expect(open(etcd)).rejects.toMatchObject(refused)
    await expect(open(etcd, { auth, keyPrefix: '/theirs' })).rejects.toMatchObject(refused)
    await using world = await open(etcd, { auth, keyPrefix: '/ours' })
    etcd.ctl('role', 'revoke-permission', 'yard', '--prefix', '/ours')
    await expect(put(world.store, '/a', '1')).rejects.toMatchObject(refused)
    await expect(take(world.store, '/', 1, 1)).rejects.toMatchObject({ reason: 'refused' })
  })

  test('a password for an etcd that has no users does no harm', async () => {
    await using etcd = await startEtcd()
    await using world = await open(etcd, { auth })
    await put(world.store, 'a', '1')
  })
})

describe.skipIf(missing !== undefined)('with TLS', { timeout: 60_000 }, () => {
  test('works with the right authority and certificate, and with nothing else', async () => {
    await using etcd = await startEtcd({ tls: true })
    const { ca, cert, key } = etcd.tls!
    await using world = await open(etcd, { tls: { ca, cert, key } })
    const from = await put(world.store, 'a', '1')
    const next = take(world.store, '', from, 1)
    expect(await put(world.store, 'b', '1')).toBe(from + 1)
    expect(await next).toHaveLength(1)
    const quick = { requestTimeoutMs: 1_000 }
    for (const tls of [undefined, { ca }, { cert, key }]) {
      await expect(open(etcd, { ...quick, ...(tls && { tls }) })).rejects.toMatchObject({
        code: 'store_unavailable',
      })
    }
  })
})

describe.skipIf(missing !== undefined)('in an etcd that is shared', { timeout: 60_000 }, () => {
  test('stores with different key prefixes neither see nor touch one another', async () => {
    await using etcd = await startEtcd()
    await using one = await open(etcd, { keyPrefix: '/one' })
    await using two = await open(etcd, { keyPrefix: '/two' })
    const from = await put(one.store, '/a', '1')
    await put(two.store, '/a', '2')
    await put(one.store, '/b', '1')
    expect((await two.store.list('')).entries.map((e) => [e.key, e.value])).toEqual([['/a', '2']])
    expect((await take(one.store, '', from, 1))[0]?.changes.map((c) => c.key)).toEqual(['/b'])
    expect((await one.store.txn([{ key: '/b', modRevision: 0 }], [])).kind).toBe('conflict')
    expect((await two.store.txn([{ key: '/b', modRevision: 0 }], [])).kind).toBe('committed')
  })

  test('a list of many pages is of one revision, also while others write and compact', async () => {
    await using etcd = await startEtcd()
    await using world = await open(etcd)
    const { store } = world
    const batch = (value: string, at: number) =>
      Array.from({ length: TXN_MAX_OPS }, (_, n) => ({ kind: 'put' as const, key: `/m/${at + n}`, value }))
    for (let at = 0; at < 8 * TXN_MAX_OPS; at += TXN_MAX_OPS) await store.txn([], batch('0', at))
    let done = false
    const churn = (async () => {
      for (let n = 1; !done; n++) {
        const { revision } = await store.txn([], batch(String(n), 0))
        await store.compact(revision)
      }
    })()
    for (let n = 0; n < 20; n++) {
      const { entries, revision } = await store.list('/m/')
      expect(entries).toHaveLength(8 * TXN_MAX_OPS)
      const changed = entries.filter((e) => Number(e.key.slice(3)) < TXN_MAX_OPS)
      expect(new Set(changed.map((e) => e.value)).size).toBe(1)
      expect(Math.max(...entries.map((e) => e.modRevision))).toBeLessThanOrEqual(revision)
    }
    done = true
    await churn
  })
})

test('what cannot be an endpoint is refused before anything is sent', async () => {
  const bad = [
    [],
    ['localhost:2379'],
    ['ftp://a:1'],
    ['http://a:1/path'],
    ['http://u:p@a:1'],
    ['http://a', 'https://b'],
  ]
  for (const endpoints of bad) {
    await expect(open({ endpoints })).rejects.toMatchObject({
      code: 'invalid_request',
      reason: 'bad_endpoints',
    })
  }
  await expect(open({ endpoints: ['http://a'] }, { tls: { ca: 'x' } })).rejects.toMatchObject({
    code: 'invalid_request',
  })
})

async function open({ endpoints }: Pick<Etcd, 'endpoints'>, more: Partial<EtcdStoreOptions> = {}) {
  const store = await openEtcdStore({ endpoints, clock: systemClock, random: seededRandom(1), ...more })
  return { store, [Symbol.asyncDispose]: () => store.close() }
}

async function startEtcdWithUser({ user, password }: { user: string; password: string }): Promise<Etcd> {
  const etcd = await startEtcd({ rootPassword: 'root' })
  etcd.ctl('role', 'add', user)
  etcd.ctl('role', 'grant-permission', user, 'readwrite', '--prefix', '/ours')
  etcd.ctl('user', 'add', user, '--new-user-password', password)
  etcd.ctl('user', 'grant-role', user, user)
  return etcd
}

async function putMany(store: Store, count: number): Promise<void> {
  for (let n = 0; n < count; n++) await putOnce(store, `/w/${n}`)
}

/** Puts until it is known to be done: a lost answer may mean twice, which is as good here. */
async function putOnce(store: Store, key: string): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await put(store, key, String(attempt))
    } catch (error) {
      if (!isYardError(error, 'store_unavailable') || attempt === 100) throw error
    }
  }
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await systemClock.sleep(10)
}
