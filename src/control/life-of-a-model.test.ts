import { describe, expect, it } from 'vitest'
import { type FakeAgent, workUntil } from './fake-agent.testing.ts'
import { type ControlWorld, openControlWorld, refusingStore } from './world.testing.ts'

const TINY = { source: 'builtin:tiny', engine: 'llama' }

describe('the life of a model', () => {
  it('goes from load to ready, scaled, unloaded and deleted, and leaves nothing behind', async () => {
    await using world = await openControlWorld()
    const agent = await world.agent('n1')
    await liveALife(world, agent)
  })

  it('is the same life when every third transaction is refused', async () => {
    let store: ReturnType<typeof refusingStore> | undefined
    await using world = await openControlWorld((memory) => (store = refusingStore(memory, 3)))
    const agent = await world.agent('n1')
    await liveALife(world, agent)
    expect(store?.refused).toBeGreaterThan(10)
  })
})

async function liveALife(world: ControlWorld, agent: FakeAgent): Promise<void> {
  const loaded = await world.call('loadModel', { params: { name: 'm' }, body: { spec: TINY } })
  expect(loaded).toMatchObject({ name: 'm', generation: 1, spec: { replicas: 1 } })
  await workUntil(world, [agent], 'ready', async () => (await world.model('m')).status.phase === 'ready')

  const [replica] = await world.replicas('m')
  expect(replica).toMatchObject({ placement: { node: 'n1' }, status: { phase: 'ready' } })
  await world.until('routable', async () => (await world.call('listEndpoints')).items.length === 1)
  const [endpoint] = (await world.call('listEndpoints')).items
  expect(endpoint).toMatchObject({
    replica: replica!.name,
    state: 'ready',
    address: { kind: 'node', agentUrl: 'http://n1.test:7702', port: replica!.placement!.port },
    planVersion: replica!.placement!.planVersion,
    contextTokens: 2_048,
  })
  expect(agent.work!.assignments[0]).toMatchObject({ contextTokens: 2_048, maxConcurrency: 4 })
  expect(await world.events('replica', replica!.name)).toEqual(['created', 'placed', 'starting', 'ready'])

  const scaled = await world.call('scaleModel', { params: { name: 'm' }, body: { replicas: 3 } })
  expect(scaled).toMatchObject({ generation: 2, spec: { replicas: 3 } })
  await workUntil(world, [agent], 'three are ready', async () => {
    const { status } = await world.model('m')
    return status.readyReplicas === 3 && status.observedGeneration === 2
  })
  const ports = (await world.replicas('m')).map((item) => item.placement!.port)
  expect(new Set(ports).size).toBe(3)
  await world.until('all routable', async () => (await world.call('listEndpoints')).items.length === 3)

  await world.call('unloadModel', { params: { name: 'm' } })
  let drained = false
  await workUntil(world, [agent], 'stopped', async () => {
    const states = (await world.call('listEndpoints')).items.map((item) => item.state)
    drained ||= states.includes('draining')
    return (await world.model('m')).status.phase === 'stopped'
  })
  expect(drained).toBe(true)
  const left = await world.keysLeft()
  expect(left.map((key) => key.split('/')[3]).sort()).toEqual([
    'model-status',
    'models',
    'revisions',
    'sources',
  ])
  expect(await world.events('model', 'm')).toEqual([
    'created',
    'ready',
    'scaled',
    'ready',
    'unloaded',
    'stopped',
  ])

  await world.call('deleteModel', { params: { name: 'm' } })
  await workUntil(
    world,
    [agent],
    'gone',
    async () => (await world.send('getModel', { params: { name: 'm' } })).status === 404,
  )
  await workUntil(world, [agent], 'swept', async () => (await world.keysLeft()).length === 0, 200_000)
}
