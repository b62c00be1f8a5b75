import { describe, expect, it } from 'vitest'
import type { FakeAgent } from './fake-agent.testing.ts'
import { workUntil } from './fake-agent.testing.ts'
import { type ControlWorld, openControlWorld, refusingStore } from './world.testing.ts'

const SIM = { source: 'sim:a', engine: 'sim' }

describe('more than one transaction can hold', () => {
  it('is placed, rolled to another revision and ended in parts, and no port or name is given twice', async () => {
    await using world = await openControlWorld((store) => refusingStore(store, 7))
    const agents: FakeAgent[] = []
    for (const name of ['n1', 'n2', 'n3', 'n4']) agents.push(await world.agent(name))
    await world.call('createModel', { body: { name: 'm', spec: { ...SIM, replicas: 200 } } })
    await workUntil(
      world,
      agents,
      'all ready',
      async () => (await world.model('m')).status.readyReplicas === 200,
    )
    await noneTwice(world, 200)
    const { planVersion } = await world.call('getPlan')
    expect(planVersion).toBeGreaterThan(1)

    await world.call('scaleModel', { params: { name: 'm' }, body: { replicas: 20 } })
    await workUntil(world, agents, 'fewer', async () => (await world.replicas('m')).length === 20)
    await world.call('replaceModel', {
      params: { name: 'm' },
      body: { spec: { ...SIM, replicas: 20, maxConcurrency: 9 } },
    })
    let least = 20
    await workUntil(
      world,
      agents,
      'rolled',
      async () => {
        const { status } = await world.model('m')
        const all = await world.replicas('m')
        const ready = all.filter((item) => item.replica.intent === 'run' && item.status?.phase === 'ready')
        least = Math.min(least, ready.length)
        return status.updatedReplicas === 20 && status.phase === 'ready' && all.length === 20
      },
      600_000,
    )
    expect(least).toBeGreaterThanOrEqual(19)
    await noneTwice(world, 20)

    await world.call('deleteModel', { params: { name: 'm' } })
    await workUntil(world, agents, 'nothing left', async () => (await world.keysLeft()).length === 0, 200_000)
  }, 120_000)
})

async function noneTwice(world: ControlWorld, count: number): Promise<void> {
  const { placements } = await world.call('getPlan')
  expect(placements).toHaveLength(count)
  expect(new Set(placements.map(({ node, port }) => `${node}:${port}`)).size).toBe(count)
  await world.until('all routable', async () => (await world.call('listEndpoints')).items.length === count)
}
