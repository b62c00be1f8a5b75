import { describe, expect, it } from 'vitest'
import { parseKey } from '../../base/key-format.ts'
import { bootstrapAdminKey } from '../bootstrap.ts'
import { openControlWorld, PEPPER } from '../world.testing.ts'

describe('the first key', () => {
  it('is made once, may manage and call models, and is kept nowhere', async () => {
    await using world = await openControlWorld()
    expect(parseKey(world.adminKey)?.prefix).toBe('yk')
    const me = await world.call('whoAmI')
    expect(me).toMatchObject({ name: 'bootstrap admin', scopes: ['manage', 'inference'] })
    const { memory: store, clock, randomBytes } = world
    expect(await bootstrapAdminKey({ store, clock, randomBytes, pepper: PEPPER })).toBeUndefined()
    const { entries } = await store.list('')
    expect(JSON.stringify(entries)).not.toContain(parseKey(world.adminKey)!.secret)
  })

  it('is one, also when two servers start at once', async () => {
    await using world = await openControlWorld()
    const { memory: store, clock, randomBytes } = world
    const { entries } = await store.list('/yard/v1/keys/')
    await store.txn(
      [],
      entries.map(({ key }) => ({ kind: 'delete', key })),
    )
    const make = () => bootstrapAdminKey({ store, clock, randomBytes, pepper: PEPPER })
    const made = await Promise.all([make(), make(), make()])
    expect(made.filter((text) => text !== undefined)).toHaveLength(1)
  })
})

describe('keys', () => {
  it('are shown once, listed without what opens them, and end at once when revoked', async () => {
    await using world = await openControlWorld()
    const body = { name: 'ci', scopes: ['read', 'read'], models: ['m'] }
    const { secret, ...made } = await world.call('createKey', { body })
    expect(made).toMatchObject({ kind: 'Key', name: 'ci', scopes: ['read'], models: ['m'] })
    const { items } = await world.call('listKeys')
    expect(items).toContainEqual(made)
    expect(JSON.stringify(items)).not.toMatch(/hash|[0-9a-f]{64}/)
    expect((await world.send('whoAmI', {}, secret)).status).toBe(200)
    await world.call('revokeKey', { params: { id: made.id } })
    expect((await world.send('whoAmI', {}, secret)).body.error.reason).toBe('key_not_valid')
    expect((await world.send('revokeKey', { params: { id: made.id } })).status).toBe(404)
  })

  it('expire, and say so to who has the secret only', async () => {
    await using world = await openControlWorld()
    const expiresAtMs = world.clock.now() + 5_000
    const { secret } = await world.call('createKey', { body: { name: 'k', scopes: ['read'], expiresAtMs } })
    expect((await world.call('whoAmI', {}, secret)).expiresAtMs).toBe(expiresAtMs)
    await world.clock.advance(5_000)
    expect((await world.send('whoAmI', {}, secret)).body.error.reason).toBe('key_expired')
    const { status } = await world.send('createKey', { body: { name: 'k', scopes: ['read'], expiresAtMs } })
    expect(status).toBe(400)
  })

  it('can not be made with the scope of a machine', async () => {
    await using world = await openControlWorld()
    for (const scope of ['node', 'gateway', 'root']) {
      expect((await world.send('createKey', { body: { name: 'k', scopes: [scope] } })).status).toBe(400)
    }
  })

  it('leave at least one that may manage, also when all are revoked at once', async () => {
    await using world = await openControlWorld()
    const ids = [(await world.call('whoAmI')).keyId]
    const secrets = [world.adminKey]
    for (const name of ['b', 'c', 'd']) {
      const made = await world.call('createKey', { body: { name, scopes: ['manage'] } })
      ids.push(made.id)
      secrets.push(made.secret)
    }
    const all = ids.map((id) => world.send('revokeKey', { params: { id } }))
    const statuses = (await Promise.all(all)).map(({ status, body }) => [status, body?.error?.reason])
    expect(statuses.filter(([status]) => status === 200).length).toBeLessThan(4)
    const alive = await Promise.all(secrets.map((secret) => world.send('whoAmI', {}, secret)))
    expect(alive.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(1)
    const last = alive.find(({ status }) => status === 200)!.body.keyId
    const { body } = await world.send('revokeKey', { params: { id: last } }, secrets[ids.indexOf(last)])
    expect(body.error).toMatchObject({ code: 'conflict', reason: 'last_manage_key' })
  })
})
