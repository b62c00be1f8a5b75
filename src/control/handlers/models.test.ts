import { describe, expect, it } from 'vitest'
import { openControlWorld } from '../world.testing.ts'

const SIM = { source: 'sim:a', engine: 'sim' }
const named = (name: string) => ({ params: { name } })

describe('creating', () => {
  it('makes a model once', async () => {
    await using world = await openControlWorld()
    const made = await world.call('createModel', { body: { name: 'm', spec: SIM, labels: { team: 'a' } } })
    expect(made).toMatchObject({ generation: 1, labels: { team: 'a' }, spec: { replicas: 1, priority: 0 } })
    const again = await world.send('createModel', { body: { name: 'm', spec: SIM } })
    expect([again.status, again.body.error.code]).toEqual([409, 'already_exists'])
  })

  it('names the field that the engine can not take', async () => {
    await using world = await openControlWorld()
    const spec = { source: 'sim:a', engine: 'llama', adapters: [], engineArgs: {} }
    const { status, body } = await world.send('createModel', { body: { name: 'm', spec } })
    expect(status).toBe(400)
    expect(body.error.code).toBe('invalid_request')
    expect(body.error.details.problems[0].field).toBe('spec.source')
    expect((await world.send('getModel', named('m'))).status).toBe(404)
  })
})

describe('loading', () => {
  it('creates what is new, brings back what was unloaded, and refuses what is different', async () => {
    await using world = await openControlWorld()
    const load = (body: unknown) => world.send('loadModel', { ...named('m'), body })
    expect((await load({})).body.error).toMatchObject({ code: 'not_found', reason: 'model' })
    expect((await load({ spec: SIM, replicas: 2 })).body).toMatchObject({
      generation: 1,
      spec: { replicas: 2 },
    })
    await world.call('unloadModel', named('m'))
    expect((await load({})).body).toMatchObject({ generation: 3, spec: { replicas: 2 } })
    expect((await load({ replicas: 4 })).body).toMatchObject({ generation: 4, spec: { replicas: 4 } })
    expect((await load({})).body).toMatchObject({ generation: 4, spec: { replicas: 4 } })
    expect((await load({ spec: SIM })).body).toMatchObject({ generation: 4, spec: { replicas: 4 } })
    expect((await load({ spec: { ...SIM, replicas: 2 } })).body).toMatchObject({ spec: { replicas: 2 } })
    const other = await load({ spec: { ...SIM, source: 'sim:b' } })
    expect(other.status).toBe(409)
    expect(other.body.error).toMatchObject({ code: 'conflict', reason: 'template_differs' })
    expect(other.body.error.hint).toContain('yard load m')
  })

  it('is refused while the model is being deleted', async () => {
    await using world = await openControlWorld()
    const n1 = await world.agent('n1')
    await world.call('loadModel', { ...named('m'), body: { spec: SIM } })
    await world.until('placed', async () => (await world.replicas('m'))[0]?.placement !== undefined)
    n1.work = await world.call('nodeWork', { ...named('n1') }, n1.key)
    await n1.tick()
    await world.call('deleteModel', named('m'))
    const { status, body } = await world.send('loadModel', { ...named('m'), body: {} })
    expect([status, body.error.reason]).toEqual([409, 'deleting'])
    expect((await world.call('deleteModel', named('m'))).deletedAtMs).toBeDefined()
  })
})

describe('replacing', () => {
  it('counts generations, keeps labels that are not sent, and changes nothing when nothing differs', async () => {
    await using world = await openControlWorld()
    const body = { name: 'm', spec: SIM, labels: { team: 'a' } }
    const made = await world.call('createModel', { body })
    const same = await world.call('replaceModel', { ...named('m'), body: { spec: SIM } })
    expect(same).toMatchObject({ generation: 1, resourceVersion: made.resourceVersion })
    const changed = await world.call('replaceModel', {
      ...named('m'),
      body: { spec: { ...SIM, priority: 5 }, resourceVersion: made.resourceVersion },
    })
    expect(changed).toMatchObject({ generation: 2, labels: { team: 'a' }, spec: { priority: 5 } })
    const stale = await world.send('replaceModel', {
      ...named('m'),
      body: { spec: SIM, resourceVersion: made.resourceVersion },
    })
    expect([stale.status, stale.body.error.reason]).toEqual([409, 'resource_version'])
  })

  it('makes a revision for another template, and none for another count', async () => {
    await using world = await openControlWorld()
    await world.agent('n1')
    await world.call('createModel', { body: { name: 'm', spec: SIM } })
    const revisions = async () => (await world.call('listRevisions', named('m'))).items
    await world.until('a revision', async () => (await revisions()).length === 1)
    await world.call('scaleModel', { ...named('m'), body: { replicas: 2 } })
    await world.call('replaceModel', { ...named('m'), body: { spec: { ...SIM, maxConcurrency: 8 } } })
    await world.until('two revisions', async () => (await revisions()).length === 2)
    const [now, before] = await revisions()
    expect(now).toMatchObject({ current: true, template: { maxConcurrency: 8 } })
    expect(before!.current).toBe(false)
    expect(now!.name).toMatch(/^m-[0-9a-f]{8}$/)
  })
})

describe('scaling', () => {
  it('is refused when the count is not the one that the caller saw', async () => {
    await using world = await openControlWorld()
    await world.call('createModel', { body: { name: 'm', spec: SIM } })
    const scale = (body: unknown) => world.send('scaleModel', { ...named('m'), body })
    const refused = await scale({ replicas: 5, currentReplicas: 3 })
    expect([refused.status, refused.body.error.reason]).toEqual([409, 'replicas_changed'])
    expect((await scale({ replicas: 5, currentReplicas: 1 })).body.spec.replicas).toBe(5)
    expect((await scale({ replicas: 5 })).body.generation).toBe(2)
    expect((await scale({ replicas: 1001 })).status).toBe(400)
  })

  it('lets each of many callers at once have its turn', async () => {
    await using world = await openControlWorld()
    await world.call('createModel', { body: { name: 'm', spec: { ...SIM, replicas: 0 } } })
    const calls = [1, 2, 3, 4, 5].map((replicas) =>
      world.call('scaleModel', { ...named('m'), body: { replicas } }),
    )
    await Promise.all(calls)
    expect((await world.model('m')).generation).toBe(6)
  })
})

describe('the names of adapters', () => {
  const withAdapters = (...names: string[]) => ({
    source: 'builtin:tiny',
    engine: 'llama',
    adapters: names.map((name) => ({ name, source: 'builtin:tiny-lora' })),
  })

  it('lead to one thing only, whoever comes first', async () => {
    await using world = await openControlWorld()
    const create = async (name: string, spec: unknown) => {
      const { status, body } = await world.send('createModel', { body: { name, spec } })
      return status === 201 ? 'made' : body.error.reason
    }
    expect(await create('a', withAdapters('lora'))).toBe('made')
    expect(await create('lora', SIM)).toBe('name_taken')
    expect(await create('b', withAdapters('lora'))).toBe('name_taken')
    expect(await create('c', withAdapters('a'))).toBe('name_taken')
    expect(await create('d', withAdapters('constructor'))).toBe('made')
    await world.call('replaceModel', { ...named('a'), body: { spec: withAdapters('other') } })
    expect(await create('lora', SIM)).toBe('made')
  })

  it('are free again when their model is gone', async () => {
    await using world = await openControlWorld()
    await world.call('createModel', { body: { name: 'a', spec: withAdapters('lora') } })
    await world.call('deleteModel', named('a'))
    await world.until('gone', async () => (await world.send('getModel', named('a'))).status === 404)
    await world.call('createModel', { body: { name: 'lora', spec: SIM } })
  })

  it('can not be claimed twice at once', async () => {
    await using world = await openControlWorld()
    const claim = (name: string, spec: unknown) => world.send('createModel', { body: { name, spec } })
    const results = await Promise.all([
      claim('a', withAdapters('x')),
      claim('b', withAdapters('x')),
      claim('x', SIM),
    ])
    expect(results.map(({ status }) => status).sort()).toEqual([201, 409, 409])
  })
})
