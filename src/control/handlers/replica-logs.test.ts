import { describe, expect, it } from 'vitest'
import { workUntil } from '../fake-agent.testing.ts'
import { agentCredential } from '../machine-credentials.ts'
import { type ControlWorld, openControlWorld, PEPPER } from '../world.testing.ts'

describe('the logs of a replica', () => {
  it('come from its agent as they are written, asked for with the credential of that agent', async () => {
    await using world = await openControlWorld()
    const name = await aReplica(world)
    const asked: Request[] = []
    let write: ReadableStreamDefaultController<Uint8Array> | undefined
    let left = false
    world.agentFetch = (url) => async (request) => {
      expect(url).toBe('http://n1.test:7702')
      asked.push(request)
      const body = new ReadableStream<Uint8Array>({
        start(controller) {
          write = controller
        },
        cancel() {
          left = true
        },
      })
      return new Response(body, { headers: { 'set-cookie': 'x=y' } })
    }
    const response = await world.settle(
      world.servers[0]!.app.fetch(
        new Request(`http://control.test/api/v1/replicas/${name}/logs?tail=5&follow=true`, {
          headers: { authorization: `Bearer ${world.adminKey}` },
        }),
      ),
    )
    expect(response.headers.get('content-type')).toBe('text/plain; charset=utf-8')
    expect(response.headers.get('set-cookie')).toBeNull()
    expect(asked[0]!.url).toBe(`http://n1.test:7702/replicas/${name}/logs?tail=5&follow=true&previous=false`)
    expect(asked[0]!.headers.get('authorization')).toBe(`Bearer ${agentCredential(PEPPER, 'n1')}`)
    const reader = response.body!.getReader()
    for (const line of ['one\n', 'two\n']) {
      write!.enqueue(new TextEncoder().encode(line))
      expect(new TextDecoder().decode((await reader.read()).value)).toBe(line)
    }
    await reader.cancel()
    expect(left).toBe(true)
  })

  it.each([
    ['is away', () => Promise.reject(new TypeError('connect ECONNREFUSED')), 502, 'unreachable'],
    ['never answers', () => new Promise<Response>(() => {}), 502, 'unreachable'],
    ['refuses us', async () => new Response('no', { status: 401 }), 502, 'unreachable'],
    ['has none', async () => new Response('', { status: 404 }), 404, 'not_found'],
  ])('are a fault when the agent %s', async (_, answer, status, code) => {
    await using world = await openControlWorld()
    const name = await aReplica(world)
    world.agentFetch = () => answer
    const got = await world.send('replicaLogs', { params: { name } })
    expect([got.status, got.body.error.code]).toEqual([status, code])
  })

  it('are not there before the replica has a place', async () => {
    await using world = await openControlWorld()
    await world.call('loadModel', {
      params: { name: 'm' },
      body: { spec: { source: 'sim:a', engine: 'sim' } },
    })
    await world.until('a replica', async () => (await world.replicas('m')).length === 1)
    const [replica] = await world.replicas('m')
    const got = await world.send('replicaLogs', { params: { name: replica!.name } })
    expect([got.status, got.body.error.reason]).toEqual([404, 'not_placed'])
    expect((await world.send('replicaLogs', { params: { name: 'none-00000' } })).body.error.reason).toBe(
      'replica',
    )
  })
})

async function aReplica(world: ControlWorld): Promise<string> {
  const n1 = await world.agent('n1')
  await world.call('loadModel', { params: { name: 'm' }, body: { spec: { source: 'sim:a', engine: 'sim' } } })
  await workUntil(world, [n1], 'ready', async () => (await world.model('m')).status.phase === 'ready')
  return (await world.replicas('m'))[0]!.name
}
