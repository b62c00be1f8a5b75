import { describe, expect, it } from 'vitest'
import { type ControlWorld, openControlWorld, type Server } from './world.testing.ts'

const SIM = { source: 'sim:a', engine: 'sim' }

describe('a long poll', () => {
  it('answers at once to a caller that has nothing, then when something changes, and not for anything else', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    const poll = (after: number, waitMs: number) =>
      world.call('nodeWork', { params: { name: 'n1' }, query: { after, waitMs } }, n1.key)
    const first = await poll(0, 60_000)
    expect(first.assignments).toEqual([])
    const beganMs = world.clock.now()
    await world.call('createKey', { body: { name: 'other', scopes: ['read'] } })
    expect((await poll(first.revision, 3_000)).revision).toBe(first.revision)
    expect(world.clock.now() - beganMs).toBeGreaterThanOrEqual(3_000)
    await n1.beat()

    let answered: Awaited<ReturnType<typeof poll>> | undefined
    const waiting = poll(first.revision, 60_000).then((work) => {
      answered = work
    })
    await world.clock.advance(1_000)
    expect(answered).toBeUndefined()
    await world.call('loadModel', { params: { name: 'm' }, body: { spec: SIM } })
    await waiting
    expect(answered!.assignments).toHaveLength(1)
    expect(answered!.revision).toBeGreaterThan(first.revision)
  })

  it('gives gateways the whole view again when any part of it changes', async () => {
    await using world = await openControlWorld()
    const gateway = await join(world)
    const view = (after: number, waitMs = 0) =>
      world.call('gatewayView', { query: { after, waitMs } }, gateway)
    const first = await view(0)
    expect(first.keys.map((key) => key.name)).toEqual(['bootstrap admin'])
    const made = await world.call('createKey', { body: { name: 'app', scopes: ['inference'] } })
    const second = await view(first.revision, 10_000)
    expect(second.keys.map((key) => key.name).sort()).toEqual(['app', 'bootstrap admin'])
    await world.call('revokeKey', { params: { id: made.id } })
    const third = await view(second.revision, 10_000)
    expect(third.keys).toHaveLength(1)
    await world.call('createModel', { body: { name: 'm', spec: { ...SIM, replicas: 0 } } })
    expect((await view(third.revision, 10_000)).models).toMatchObject([{ name: 'm' }])
  })

  it('does not give a caller an older state than it has seen elsewhere', async () => {
    await using world = await openControlWorld()
    const gateway = await join(world)
    const ahead = (await world.memory.list('')).revision + 1
    const asking = world.call('gatewayView', { query: { after: ahead, waitMs: 10_000 } }, gateway)
    await world.call('createModel', { body: { name: 'm', spec: SIM } })
    expect((await asking).revision).toBeGreaterThanOrEqual(ahead)
  })

  it('holds a caller that is sent from server to server and has what all of them know', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    const poll = (server: Server, after: number, waitMs: number) =>
      world.call('nodeWork', { params: { name: 'n1' }, query: { after, waitMs } }, n1.key, server)
    const [alpha] = world.servers
    const first = await poll(alpha!, 0, 0)
    await world.call('createKey', { body: { name: 'other', scopes: ['read'] } })
    const beta = await world.start('beta')
    const second = await poll(beta, first.revision, 0)
    expect(second.revision).toBeGreaterThan(first.revision)

    const beganMs = world.clock.now()
    for (const server of [alpha!, beta, alpha!, beta]) {
      expect((await poll(server, second.revision, 3_000)).revision).toBe(second.revision)
    }
    expect(world.clock.now() - beganMs).toBeGreaterThanOrEqual(4 * 3_000)
  })

  it('does not hold a caller that saw, on another server, what came and went meanwhile', async () => {
    await using world = await openControlWorld()
    const gateway = await join(world)
    const beta = await world.start('beta')
    const [alpha] = world.servers
    const view = (server: Server, after: number) =>
      world.call('gatewayView', { query: { after, waitMs: 60_000 } }, gateway, server)
    await view(alpha!, 0)
    const made = await world.call('createKey', { body: { name: 'app', scopes: ['inference'] } })
    const seen = await view(beta, 0)
    expect(seen.keys).toHaveLength(2)
    await world.call('revokeKey', { params: { id: made.id } })
    expect((await view(alpha!, seen.revision)).keys).toHaveLength(1)
  })

  it('answers a caller that is ahead of the store itself, as after a restored backup', async () => {
    await using world = await openControlWorld()
    const gateway = await join(world)
    const { revision } = await world.call('gatewayView', { query: { after: 1_000_000 } }, gateway)
    expect(revision).toBeLessThan(1_000_000)
  })

  it('refuses a caller when this server is behind the store', async () => {
    let behind = false
    await using world = await openControlWorld((store) => ({
      ...bound(store),
      async *watch(prefix, after, signal) {
        for await (const set of store.watch(prefix, after, signal)) {
          if (behind) await new Promise((resolve) => signal.addEventListener('abort', resolve))
          yield set
        }
      },
    }))
    const gateway = await join(world)
    behind = true
    await world.memory.txn([], [{ kind: 'put', key: '/yard/v1/other/x', value: '{}' }])
    const after = (await world.memory.list('')).revision
    const { status, body } = await world.send('gatewayView', { query: { after } }, gateway)
    expect([status, body.error.reason]).toEqual([503, 'behind'])
  })
})

async function join(world: ControlWorld): Promise<string> {
  const { token } = await world.call('createJoinToken', { body: { role: 'gateway' } })
  const body = { joinToken: token, role: 'gateway', name: 'g1' }
  return (await world.call('register', { body }, '')).key
}

function bound(store: ControlWorld['memory']): ControlWorld['memory'] {
  return {
    get: (key) => store.get(key),
    list: (prefix, options) => store.list(prefix, options),
    txn: (compare, ops) => store.txn(compare, ops),
    watch: (prefix, after, signal) => store.watch(prefix, after, signal),
    grantLease: (ttlMs) => store.grantLease(ttlMs),
    keepAlive: (leaseId) => store.keepAlive(leaseId),
    revokeLease: (leaseId) => store.revokeLease(leaseId),
    compact: (revision) => store.compact(revision),
    close: () => store.close(),
  }
}
