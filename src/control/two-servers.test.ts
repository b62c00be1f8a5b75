import { describe, expect, it } from 'vitest'
import type { Change, Store } from '../store/store.ts'
import { workUntil } from './fake-agent.testing.ts'
import { ONLY, tables } from './records.ts'
import { type ControlWorld, openControlWorld } from './world.testing.ts'

const SIM = { source: 'sim:a', engine: 'sim' }

describe('two servers on one store', () => {
  it('have one leader between them, and both answer the same', async () => {
    await using world = await openControlWorld()
    const beta = await world.start('beta')
    const [alpha] = world.servers
    await world.clock.advance(60_000)
    expect(await leaders(world)).toEqual(['alpha'])
    await world.call('loadModel', { params: { name: 'm' }, body: { spec: SIM } }, world.adminKey, beta)
    await world.until('both know', async () => {
      const answers = [alpha!, beta].map((server) => world.call('listReplicas', {}, world.adminKey, server))
      const [a, b] = await Promise.all(answers)
      return a!.items.length === 1 && JSON.stringify(a!.items) === JSON.stringify(b!.items)
    })
  })

  it('hand over when the leader stops, and nothing of the work is lost or done twice', async () => {
    await using world = await openControlWorld()
    const beta = await world.start('beta')
    const n1 = await world.agent('n1', beta)
    await world.call('loadModel', { params: { name: 'm' }, body: { spec: { ...SIM, replicas: 3 } } })
    await world.servers[0]!.stop()
    world.servers.reverse()
    await workUntil(world, [n1], 'ready', async () => (await world.model('m')).status.phase === 'ready')
    expect(await world.replicas('m')).toHaveLength(3)
    expect(await leaders(world)).toEqual(['beta'])
    expect(await world.events('server', 'beta')).toEqual(['leading'])
  })

  it('let a leader that stood still write nothing once the other leads', async () => {
    const link = new Link()
    await using world = await openControlWorld((store) => link.wrap(store))
    const n1 = await world.agent('n1')
    const beta = await world.start('beta')
    n1.server = beta
    // The leader decides to make replicas, and stands still with the transaction in its hand.
    link.holdWrites(tables.replicas.prefix)
    const asking = world.call(
      'loadModel',
      { params: { name: 'm' }, body: { spec: { ...SIM, replicas: 2 } } },
      world.adminKey,
      beta,
    )
    await asking
    await world.until('it stands still', () => link.held > 0)
    link.cutLeases()
    world.servers.reverse()
    await world.until('the other leads', async () => (await leaders(world)).includes('beta'))
    await workUntil(world, [n1], 'ready', async () => (await world.model('m')).status.phase === 'ready')
    const before = (await world.replicas('m')).map((item) => item.name).sort()
    expect(before).toHaveLength(2)
    link.release()
    await world.clock.advance(10_000)
    expect(link.outcomes.length).toBeGreaterThan(0)
    expect(new Set(link.outcomes)).toEqual(new Set(['conflict']))
    expect((await world.replicas('m')).map((item) => item.name).sort()).toEqual(before)
  })
})

async function leaders(world: ControlWorld): Promise<string[]> {
  const entry = await world.memory.get(tables.leader.key(ONLY))
  return entry ? [tables.leader.read(entry).serverId] : []
}

/** A connection to the store on which transactions can be held back and leases cut. */
class Link {
  held = 0
  readonly outcomes: string[] = []
  #prefix: string | undefined
  #cut = false
  #open: () => void = () => {}
  #gate = Promise.resolve()

  holdWrites(prefix: string): void {
    this.#prefix = prefix
    this.#gate = new Promise((resolve) => {
      this.#open = resolve
    })
  }

  cutLeases(): void {
    this.#cut = true
  }

  release(): void {
    this.#prefix = undefined
    this.#open()
  }

  wrap(store: Store): Store {
    const isHeld = (key: string) => this.#prefix !== undefined && key.startsWith(this.#prefix)
    return {
      get: (key) => store.get(key),
      list: (prefix, options) => store.list(prefix, options),
      txn: async (compare, ops) => {
        if (!ops.some((op: { key: Change['key'] }) => isHeld(op.key))) return store.txn(compare, ops)
        this.held++
        await this.#gate
        const result = await store.txn(compare, ops)
        this.outcomes.push(result.kind)
        return result
      },
      watch: (prefix, after, signal) => store.watch(prefix, after, signal),
      grantLease: (ttlMs) => store.grantLease(ttlMs),
      keepAlive: (leaseId) => (this.#cut ? new Promise(() => {}) : store.keepAlive(leaseId)),
      revokeLease: (leaseId) => store.revokeLease(leaseId),
      compact: (revision) => store.compact(revision),
      close: () => store.close(),
    }
  }
}
