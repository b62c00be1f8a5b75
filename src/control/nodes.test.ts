import { describe, expect, it } from 'vitest'
import { type FakeAgent, workUntil } from './fake-agent.testing.ts'
import { type ControlWorld, openControlWorld } from './world.testing.ts'

const SIM = { source: 'sim:a', engine: 'sim' }
const n1Named = { params: { name: 'n1' } }

describe('joining', () => {
  it('takes a token as often as it was made for, and no more', async () => {
    await using world = await openControlWorld()
    const { token, id } = await world.call('createJoinToken', { body: { uses: 2 } })
    const join = (name: string) => world.send('register', { body: registration(token, name) }, '')
    expect((await join('a')).status).toBe(201)
    expect((await world.call('listJoinTokens')).items).toMatchObject([{ id, usesLeft: 1 }])
    expect((await join('b')).status).toBe(201)
    expect((await world.call('listJoinTokens')).items).toEqual([])
    expect((await join('c')).status).toBe(401)
  })

  it('gives one text for every token that is not good', async () => {
    await using world = await openControlWorld()
    const make = async (body: object) => (await world.call('createJoinToken', { body })).token
    const used = await make({})
    await world.call('register', { body: registration(used, 'a') }, '')
    const expired = await make({ ttlMs: 1_000 })
    const forGateways = await make({ role: 'gateway' })
    const revoked = await world.call('createJoinToken', { body: {} })
    await world.call('deleteJoinToken', { params: { id: revoked.id } })
    await world.clock.advance(1_000)
    const texts = new Set<string>()
    for (const token of [used, expired, forGateways, revoked.token, 'yj_junk', world.adminKey, '']) {
      const { status, body } = await world.send('register', { body: registration(token, 'x') }, '')
      expect(status).toBe(401)
      texts.add(JSON.stringify({ ...body.error, requestId: '' }))
    }
    expect(texts.size).toBe(1)
  })

  it('lets as many in at once as the token has uses', async () => {
    await using world = await openControlWorld()
    const { token } = await world.call('createJoinToken', { body: { uses: 3 } })
    const all = ['a', 'b', 'c', 'd', 'e'].map((name) =>
      world.send('register', { body: registration(token, name) }, ''),
    )
    const statuses = (await Promise.all(all)).map(({ status }) => status)
    expect(statuses.sort()).toEqual([201, 201, 201, 401, 401])
    expect((await world.call('listNodes')).items).toHaveLength(3)
  })

  it('is a restart with the same agent, and refused to another while the first reports', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    const before = n1.key
    await n1.join()
    expect(n1.key).not.toBe(before)
    expect((await world.send('heartbeat', { ...n1Named, body: n1.heartbeat() }, before)).status).toBe(401)
    const { token } = await world.call('createJoinToken', { body: {} })
    const { status, body } = await world.send('register', { body: registration(token, 'n1') }, '')
    expect([status, body.error.reason]).toEqual([409, 'node_name_in_use'])
    expect((await world.call('listJoinTokens')).items).toHaveLength(1)
    expect(await world.events('node', 'n1')).toEqual(['joined', 'rejoined'])
  })

  it.each(['ftp://x', 'http://user:pw@x:1', 'http://x/path', 'http://x?y', 'x:1', ''])(
    'does not take %s for the URL of an agent',
    async (agentUrl) => {
      await using world = await openControlWorld()
      const { token } = await world.call('createJoinToken', { body: {} })
      const answer = await world.send('register', { body: { ...registration(token, 'a'), agentUrl } }, '')
      expect(answer.status).toBe(400)
    },
  )

  it('gives a gateway its key and nothing of an agent', async () => {
    await using world = await openControlWorld()
    const { token } = await world.call('createJoinToken', { body: { role: 'gateway' } })
    const body = { joinToken: token, role: 'gateway', name: 'g1' }
    const { key, ...rest } = await world.call('register', { body }, '')
    expect(rest).toEqual({ name: 'g1' })
    expect((await world.call('gatewayView', {}, key)).models).toEqual([])
  })

  it('leaves a gateway its key when another one of the same name joins, and keeps few keys of one name', async () => {
    await using world = await openControlWorld()
    const { token } = await world.call('createJoinToken', { body: { role: 'gateway', uses: 20 } })
    const body = { joinToken: token, role: 'gateway', name: 'g1' }
    const keys: string[] = []
    for (let count = 0; count < 10; count++) {
      keys.push((await world.call('register', { body }, '')).key)
      await world.clock.advance(1_000)
    }
    const statuses: number[] = []
    for (const key of keys) statuses.push((await world.send('gatewayView', {}, key)).status)
    expect(statuses).toEqual([401, 401, 200, 200, 200, 200, 200, 200, 200, 200])
  })
})

describe('beating', () => {
  it('writes nothing while nothing changes', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    await world.clock.advance(5_000)
    const revision = async () => (await world.memory.list('/yard/v1/')).revision
    const before = await revision()
    for (let beat = 0; beat < 10; beat++) {
      await n1.beat()
      await world.clock.advance(3_000)
    }
    expect(await revision()).toBe(before)
    expect((await world.call('getNode', n1Named)).ready).toBe(true)
  })

  it('writes readings now and then, and what matters at once', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    const used = async () => (await world.call('getNode', n1Named)).status!.devices[0]!.memoryUsedBytes
    const beatWith = async (memoryUsedBytes: number) => {
      const status = n1.status()
      const devices = [{ ...status.devices[0]!, memoryUsedBytes }]
      await world.call(
        'heartbeat',
        { ...n1Named, body: { ...n1.heartbeat(), status: { ...status, devices } } },
        n1.key,
      )
    }
    const before = await used()
    await beatWith(before! + 1_000)
    expect(await used()).toBe(before)
    await beatWith(before! * 4)
    expect(await used()).toBe(before! * 4)
    for (let beat = 0; beat < 11; beat++) {
      await world.clock.advance(3_000)
      await beatWith(before! * 4 + 1_000)
    }
    expect(await used()).toBe(before! * 4 + 1_000)
  })

  it('takes over where the agent is now', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    await ready(world, [n1])
    n1.agentUrl = 'http://10.9.9.9:7702'
    await n1.beat()
    await world.until('the endpoint follows', async () => {
      const [endpoint] = (await world.call('listEndpoints')).items
      return endpoint?.address.kind === 'node' && endpoint.address.agentUrl === n1.agentUrl
    })
  })

  it('ignores what is said of another plan, of another node or of nothing', async () => {
    await using world = await openControlWorld()
    const [n1, n2] = [await world.agent('n1'), await world.agent('n2')]
    await ready(world, [n1, n2])
    const [replica] = await world.replicas('m')
    const owner = replica!.placement!.node === 'n1' ? n1 : n2
    const other = owner === n1 ? n2 : n1
    const status = owner.local.get(replica!.name)!
    const lie = (agent: FakeAgent, replicas: object[]) =>
      world.call(
        'heartbeat',
        { params: { name: agent.name }, body: { ...agent.heartbeat(), replicas } },
        agent.key,
      )
    await lie(other, [{ ...status, node: owner.name, phase: 'failed' }])
    await lie(owner, [
      { ...status, planVersion: status.planVersion + 1, phase: 'failed' },
      { ...status, replica: 'x-00000' },
    ])
    const kept = (await world.replicas('m'))[0]!
    expect(kept.status?.phase).not.toBe('failed')
    expect((await world.memory.list('/yard/v1/replica-status/')).entries.length).toBeLessThanOrEqual(1)
  })

  it('is refused to an agent whose place another has taken', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    const body = { ...n1.heartbeat(), agentId: 'somebody-else' }
    const { status, body: answer } = await world.send('heartbeat', { ...n1Named, body }, n1.key)
    expect([status, answer.error.reason]).toEqual([409, 'agent_replaced'])
  })
})

describe('a node that is lost', () => {
  it('is noted, its endpoints go, its replicas are made anew elsewhere under other names, and it is welcome back', async () => {
    await using world = await openControlWorld()
    const agents = [await world.agent('n1'), await world.agent('n2'), await world.agent('n3')]
    await ready(world, agents, 3)
    const before = await world.replicas('m')
    expect(before.map((item) => item.placement!.node).sort()).toEqual(['n1', 'n2', 'n3'])
    const [n1, n2, n3] = agents
    n1!.beating = false
    const gone = before.find((item) => item.placement!.node === 'n1')!
    await workUntil(world, [n2!, n3!], 'lost', async () =>
      (await world.events('node', 'n1')).includes('lost'),
    )
    await workUntil(world, [n2!, n3!], 'not routable', async () => {
      const { items } = await world.call('listEndpoints')
      return items.every((item) => item.replica !== gone.name)
    })
    await workUntil(world, [n2!, n3!], 'replaced', async () => {
      const { status } = await world.model('m')
      return status.phase === 'ready' && status.readyReplicas === 3
    })
    const after = await world.replicas('m')
    expect(after.map((item) => item.name)).not.toContain(gone.name)
    expect(after.map((item) => item.placement!.node)).not.toContain('n1')
    expect(await world.events('replica', gone.name)).toContain('lost')
    n1!.beating = true
    await workUntil(world, agents, 'back', async () => (await world.events('node', 'n1')).at(-1) === 'back')
    expect(n1!.work!.assignments).toEqual([])
    expect(n1!.local.size).toBe(0)
  })

  it('is not given up when most nodes vanish at once: then the fault is likely ours', async () => {
    await using world = await openControlWorld()
    const agents = [await world.agent('n1'), await world.agent('n2'), await world.agent('n3')]
    await ready(world, agents, 3)
    const before = (await world.replicas('m')).map((item) => item.name).sort()
    for (const agent of agents) agent.beating = false
    await world.until('all are lost', async () =>
      (await world.call('listNodes')).items.every((node) => !node.ready),
    )
    await world.clock.advance(180_000)
    expect((await world.replicas('m')).map((item) => item.name).sort()).toEqual(before)
    expect((await world.call('listEndpoints')).items).toHaveLength(3)
    expect((await world.model('m')).status).toMatchObject({ phase: 'degraded', reason: 'suspect_self' })
    // They come back one by one; those that have yet to come are waited for.
    for (const [at, agent] of agents.entries()) {
      agent.beating = true
      const untilMs = world.clock.now() + 10_000
      await workUntil(world, agents.slice(0, at + 1), 'a while', () => world.clock.now() > untilMs)
    }
    await workUntil(world, agents, 'ready', async () => (await world.model('m')).status.phase === 'ready')
    expect((await world.replicas('m')).map((item) => item.name).sort()).toEqual(before)
  })

  it('keeps its endpoints from the first moment when most nodes vanish within one beat', async () => {
    await using world = await openControlWorld()
    const agents = [await world.agent('n1'), await world.agent('n2')]
    await ready(world, agents, 2)
    const [n1, n2] = agents
    n1!.beating = false
    const apartMs = world.clock.now() + 2_000
    await workUntil(world, [n2!], 'most of a beat', () => world.clock.now() > apartMs)
    n2!.beating = false
    const counts = new Set<number>()
    for (let step = 0; step < 160; step++) {
      await world.clock.advance(250)
      counts.add((await world.call('listEndpoints')).items.length)
    }
    expect((await world.call('listNodes')).items.map((node) => node.ready)).toEqual([false, false])
    expect([...counts]).toEqual([2])
  })

  it('gets the time of a lease from a leader that has just begun', async () => {
    await using world = await openControlWorld()
    const agents = [await world.agent('n1'), await world.agent('n2')]
    await ready(world, agents, 2)
    await world.servers[0]!.stop()
    await world.clock.advance(60_000)
    const next = await world.start('beta')
    const beganMs = world.clock.now()
    expect((await world.memory.list('/yard/v1/node-leases/')).entries).toEqual([])
    for (const agent of agents) agent.server = next
    world.servers.reverse()
    await world.clock.advance(10_000)
    expect(await world.events('node', 'n1')).toEqual(['joined'])
    await workUntil(world, agents, 'all well', async () => world.clock.now() > beganMs + 30_000)
    expect(await world.events('node', 'n1')).toEqual(['joined'])
    expect((await world.model('m')).status.phase).toBe('ready')
  })

  it('takes another agent under its name; what the former one ran is never started again under its names', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    await ready(world, [n1])
    const [before] = await world.replicas('m')
    n1.beating = false
    await world.until('its lease ends', async () => !(await world.call('getNode', n1Named)).ready)
    n1.local.clear()
    n1.beating = true
    await n1.join('n1-2')
    const seen = new Set<string>()
    await workUntil(world, [n1], 'another replica', async () => {
      for (const assignment of n1.work?.assignments ?? []) {
        if (assignment.desired === 'run') seen.add(assignment.replica)
      }
      return (await world.model('m')).status.phase === 'ready'
    })
    expect(seen).not.toContain(before!.name)
    expect(await world.events('node', 'n1')).toContain('agent_replaced')
  })
})

describe('steering nodes', () => {
  it('places nothing new on one that is cordoned', async () => {
    await using world = await openControlWorld()
    const agents = [await world.agent('n1'), await world.agent('n2')]
    expect((await world.call('cordonNode', n1Named)).node.cordoned).toBe(true)
    await ready(world, agents, 3)
    const nodes = (await world.replicas('m')).map((item) => item.placement!.node)
    expect(new Set(nodes)).toEqual(new Set(['n2']))
    await world.call('uncordonNode', n1Named)
    expect(await world.events('node', 'n1')).toEqual(['joined', 'cordoned', 'uncordoned'])
  })

  it('drains one replica and puts another in its place', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    await ready(world, [n1])
    const [replica] = await world.replicas('m')
    const drained = await world.call('drainReplica', { params: { name: replica!.name } })
    expect(drained.replica).toMatchObject({ intent: 'stop', reason: 'drained' })
    await workUntil(world, [n1], 'another', async () => {
      const now = await world.replicas('m')
      return now.length === 1 && now[0]!.name !== replica!.name && now[0]!.status?.phase === 'ready'
    })
    expect((await world.send('drainReplica', { params: { name: replica!.name } })).status).toBe(404)
  })

  it('forgets a node, unless it reports and holds replicas, and revokes its key', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    await ready(world, [n1])
    const refused = await world.send('removeNode', n1Named)
    expect([refused.status, refused.body.error.reason]).toEqual([409, 'node_in_use'])
    await world.call('unloadModel', { params: { name: 'm' } })
    await workUntil(world, [n1], 'empty', async () => (await world.replicas('m')).length === 0)
    await world.call('removeNode', n1Named)
    expect((await world.send('heartbeat', { ...n1Named, body: n1.heartbeat() }, n1.key)).status).toBe(401)
    expect((await world.memory.list('/yard/v1/node')).entries).toEqual([])
  })

  it('forgets a lost node at once, and its replicas are made anew', async () => {
    await using world = await openControlWorld()
    const [n1, n2] = [await world.agent('n1'), await world.agent('n2')]
    await ready(world, [n1, n2], 2)
    n1.beating = false
    await workUntil(world, [n2], 'lost', async () => !(await world.call('getNode', n1Named)).ready)
    await world.call('removeNode', n1Named)
    await workUntil(world, [n2], 'anew', async () => (await world.model('m')).status.phase === 'ready')
    expect((await world.replicas('m')).map((item) => item.placement!.node)).toEqual(['n2', 'n2'])
  })

  it('gives up a replica that is to stop and that its agent has never heard of', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    await world.call('loadModel', { params: { name: 'm' }, body: { spec: SIM } })
    await world.until('placed', async () => (await world.replicas('m'))[0]?.placement !== undefined)
    await world.call('unloadModel', { params: { name: 'm' } })
    for (let beat = 0; beat < 6; beat++) {
      await n1.beat()
      await world.clock.advance(3_000)
    }
    expect(await world.replicas('m')).toEqual([])
  })
})

function registration(joinToken: string, name: string) {
  return { joinToken, role: 'agent', name, agentUrl: `http://${name}.test:7702`, agentId: `${name}-x` }
}

async function ready(world: ControlWorld, agents: readonly FakeAgent[], replicas = 1): Promise<void> {
  await world.call('loadModel', { params: { name: 'm' }, body: { spec: { ...SIM, replicas } } })
  await workUntil(world, agents, 'ready', async () => (await world.model('m')).status.phase === 'ready')
  await world.until('routable', async () => (await world.call('listEndpoints')).items.length === replicas)
}
