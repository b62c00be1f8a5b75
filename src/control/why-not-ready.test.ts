import { describe, expect, it } from 'vitest'
import { workUntil } from './fake-agent.testing.ts'
import { type ControlWorld, openControlWorld } from './world.testing.ts'

const FILE = { source: 'file:/models/m.gguf', engine: 'llama' }
const SIM = { source: 'sim:a', engine: 'sim' }

describe('a model that is not ready says why', () => {
  it('no node has joined that could look at its file', async () => {
    await using world = await openControlWorld()
    await load(world, FILE)
    await reason(world, 'no_node', 'pending')
  })

  it('no node has joined that could take it', async () => {
    await using world = await openControlWorld()
    await load(world, SIM)
    await reason(world, 'nothing_fits', 'pending')
    const { status } = await world.model('m')
    expect(status.message).toContain('there is no node')
    const [replica] = await world.replicas('m')
    expect(await world.events('replica', replica!.name)).toEqual(['created', 'unschedulable'])
  })

  it('nodes have yet to look at its file, then none has it, and it starts by itself once one does', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    n1.sources.set(FILE.source, { kind: 'missing', message: 'no such file' })
    await load(world, FILE)
    await reason(world, 'inspecting', 'pending')
    await n1.tick()
    await reason(world, 'source_missing', 'failed')
    expect((await world.model('m')).status.message).toContain('file:/models/m.gguf is not on n1')
    n1.sources.delete(FILE.source)
    await workUntil(world, [n1], 'ready', async () => (await world.model('m')).status.phase === 'ready')
  })

  it('its file is not a model', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    n1.sources.set(FILE.source, { kind: 'invalid', reason: 'bad_magic', message: 'not a GGUF file' })
    await load(world, FILE)
    await n1.tick()
    await reason(world, 'source_invalid', 'failed')
    expect((await world.model('m')).status.message).toContain('not a GGUF file')
  })

  it('what it needs is not known and must be stated', async () => {
    await using world = await openControlWorld()
    await world.agent('n1')
    await load(world, { source: 'hf:org/model', engine: 'vllm' })
    await reason(world, 'footprint_unknown', 'failed')
    expect(await world.replicas('m')).toEqual([])
  })

  it('nothing fits: the table says so for each node, and it is told once', async () => {
    await using world = await openControlWorld()
    const agents = [await world.agent('n1'), await world.agent('n2')]
    await load(world, { ...FILE, resources: { memoryBytes: 64 * 2 ** 30 } })
    await workUntil(
      world,
      agents,
      'tables',
      async () => (await world.model('m')).status.rejections.length > 0,
    )
    const { status } = await world.model('m')
    expect(status).toMatchObject({ phase: 'pending', reason: 'nothing_fits' })
    expect(status.rejections.map(({ node, reason: why }) => [node, why])).toEqual([
      ['n1', 'memory'],
      ['n2', 'memory'],
    ])
    const untilMs = world.clock.now() + 30_000
    await workUntil(world, agents, 'a while', () => world.clock.now() > untilMs)
    const [replica] = await world.replicas('m')
    expect(replica!.rejections).toEqual(status.rejections)
    expect(await world.events('replica', replica!.name)).toEqual(['created', 'unschedulable'])
  })

  it('gets its place as soon as there is room', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    const big = { ...FILE, resources: { memoryBytes: 10 * 2 ** 30 } }
    await world.call('loadModel', { params: { name: 'first' }, body: { spec: big } })
    await workUntil(world, [n1], 'first', async () => (await world.model('first')).status.phase === 'ready')
    await load(world, big)
    await workUntil(
      world,
      [n1],
      'no room',
      async () => (await world.model('m')).status.reason === 'nothing_fits',
    )
    await world.call('unloadModel', { params: { name: 'first' } })
    await workUntil(world, [n1], 'room', async () => (await world.model('m')).status.phase === 'ready')
    expect((await world.replicas('m'))[0]!.rejections).toEqual([])
    expect((await world.keysLeft()).filter((key) => key.includes('/unplaced/'))).toEqual([])
  })

  it('its engine failed in a way that another start does not mend', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    n1.failing.set('m', {
      reason: 'bad_argument',
      message: 'unknown flag',
      retryable: false,
      lastLines: ['boom'],
    })
    await load(world, SIM)
    await workUntil(world, [n1], 'failed', async () => (await world.model('m')).status.phase === 'failed')
    expect((await world.model('m')).status).toMatchObject({ reason: 'bad_argument' })
    const [replica] = await world.replicas('m')
    expect(replica!.status!.failure!.lastLines).toEqual(['boom'])
    expect(await world.events('replica', replica!.name)).toEqual([
      'created',
      'placed',
      'starting',
      'bad_argument',
    ])
    expect((await world.call('listEndpoints')).items).toEqual([])
  })
})

describe('a model that somebody else serves', () => {
  it('has an endpoint without any node, and none after it is unloaded', async () => {
    await using world = await openControlWorld()
    const spec = { source: 'https://api.example.com/v1', engine: 'external', externalModel: 'big' }
    await load(world, spec)
    await world.until('ready', async () => (await world.model('m')).status.phase === 'ready')
    await world.until('routable', async () => (await world.call('listEndpoints')).items.length === 1)
    expect((await world.call('listEndpoints')).items[0]).toMatchObject({
      address: { kind: 'external', url: 'https://api.example.com/v1', model: 'big' },
      state: 'ready',
    })
    await world.call('unloadModel', { params: { name: 'm' } })
    await world.until('stopped', async () => (await world.model('m')).status.phase === 'stopped')
    expect((await world.call('listEndpoints')).items).toEqual([])
  })
})

async function load(world: ControlWorld, spec: object): Promise<void> {
  await world.call('loadModel', { params: { name: 'm' }, body: { spec } })
}

async function reason(world: ControlWorld, wanted: string, phase: string): Promise<void> {
  await world.until(`reason ${wanted}`, async () => (await world.model('m')).status.reason === wanted, 20_000)
  expect((await world.model('m')).status.phase).toBe(phase)
}
