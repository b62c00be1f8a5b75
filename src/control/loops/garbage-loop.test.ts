import { describe, expect, it } from 'vitest'
import { workUntil } from '../fake-agent.testing.ts'
import { tables } from '../records.ts'
import { openControlWorld } from '../world.testing.ts'
import { EVENTS_KEPT, REVISIONS_KEPT } from './garbage-loop.ts'

const named = { params: { name: 'm' } }

describe('the sweep', () => {
  it('keeps the newest events only', async () => {
    await using world = await openControlWorld()
    const put = (at: number) =>
      tables.events.put(`000000000000000-${String(at).padStart(6, '0')}-aaaa`, {
        id: String(at),
        atMs: at,
        type: 'normal',
        object: { kind: 'model', name: 'old' },
        reason: 'created',
        message: '',
      })
    for (let from = 0; from < EVENTS_KEPT + 500; from += 100) {
      const ops = Array.from({ length: 100 }, (_, at) => put(from + at))
      await world.memory.txn([], ops)
    }
    const count = async () => (await world.memory.list(tables.events.prefix)).entries.length
    await world.until('swept', async () => (await count()) <= EVENTS_KEPT)
    const { items } = await world.call('listEvents', { query: { limit: 1000 } })
    expect(items.some((event) => event.object.kind === 'server')).toBe(true)
    expect(items.every((event) => event.object.name !== 'old' || Number(event.id) >= 400)).toBe(true)
  })

  it('drops tokens that let nobody in any more', async () => {
    await using world = await openControlWorld()
    await world.call('createJoinToken', { body: { ttlMs: 5_000 } })
    const { id } = await world.call('createJoinToken', { body: { ttlMs: 86_400_000 } })
    await world.clock.advance(130_000)
    const left = (await world.memory.list(tables.joinTokens.prefix)).entries
    expect(left.map((entry) => entry.key)).toEqual([tables.joinTokens.key(id)])
  })

  it('keeps some revisions to go back to, and those in use however old', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    const spec = (maxConcurrency: number) => ({ source: 'sim:a', engine: 'sim', maxConcurrency })
    await world.call('createModel', { body: { name: 'm', spec: spec(1) } })
    await workUntil(world, [n1], 'ready', async () => (await world.model('m')).status.phase === 'ready')
    n1.failing.set('m', { reason: 'bad_argument', message: 'no', retryable: false, lastLines: [] })
    const revisions = async () => (await world.call('listRevisions', named)).items
    const [first] = await revisions()
    for (let at = 2; at <= REVISIONS_KEPT + 5; at++) {
      await world.call('replaceModel', { ...named, body: { spec: spec(at) } })
      await workUntil(world, [n1], `revision ${at}`, async () =>
        (await revisions()).some((revision) => revision.template.maxConcurrency === at),
      )
    }
    const untilMs = world.clock.now() + 70_000
    await workUntil(world, [n1], 'a sweep', () => world.clock.now() > untilMs)
    const kept = await revisions()
    expect(kept.length).toBeLessThanOrEqual(REVISIONS_KEPT + 2)
    expect(kept.map((revision) => revision.name)).toContain(first!.name)
    expect(kept[0]).toMatchObject({ current: true })
  })

  it('forgets what nodes found at sources that no model has, and what nodes said that are gone', async () => {
    await using world = await openControlWorld()
    const [n1, n2] = [await world.agent('n1'), await world.agent('n2')]
    const spec = { source: 'builtin:tiny', engine: 'llama', replicas: 0 }
    await world.call('createModel', { body: { name: 'm', spec: { ...spec, replicas: 1 } } })
    await workUntil(world, [n1, n2], 'ready', async () => (await world.model('m')).status.phase === 'ready')
    await world.call('unloadModel', named)
    await workUntil(world, [n1, n2], 'stopped', async () => (await world.replicas('m')).length === 0)
    const sources = async () =>
      (await world.memory.list(tables.sources.prefix)).entries.map(tables.sources.read)
    expect(Object.keys((await sources())[0]!.nodes)).toEqual(['n1', 'n2'])
    await world.call('removeNode', { params: { name: 'n2' } })
    await workUntil(world, [n1], 'forgotten', async () => !('n2' in (await sources())[0]!.nodes), 150_000)
    await world.call('deleteModel', named)
    await workUntil(world, [n1], 'none', async () => (await sources()).length === 0, 150_000)
  })
})
