import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Operation } from '../api/operation.ts'
import { API_PREFIX } from '../api/operation.ts'
import { type Operations, operations } from '../api/operations.ts'
import type { FakeAgent } from './fake-agent.testing.ts'
import { type ControlWorld, openControlWorld } from './world.testing.ts'

const all = Object.keys(operations) as (keyof Operations)[]
const READS = [
  'getModel',
  'getNode',
  'getPlan',
  'getReplica',
  'listEndpoints',
  'listEvents',
  'listKeys',
  'listModels',
  'listNodes',
  'listReplicas',
  'listRevisions',
  'replicaLogs',
  'version',
  'whoAmI',
]
const MACHINES = ['gatewayView', 'heartbeat', 'nodeWork', 'reportSource']

/** What each carrier may do. Written out by hand: a wider grant anywhere fails here. */
const MAY: Readonly<Record<string, readonly string[]>> = {
  'no key': [],
  junk: [],
  'a revoked key': [],
  'an expired key': [],
  'a join token': [],
  'an inference key': [],
  'a read key': READS,
  'a manage key': all.filter((id) => !MACHINES.includes(id) && id !== 'register'),
  'the key of node n1': ['heartbeat', 'nodeWork', 'reportSource'],
  'the key of node n2': [],
  'the key of a gateway': ['gatewayView'],
}

let world: ControlWorld
const keys = new Map<string, string | undefined>()

beforeAll(async () => {
  world = await openControlWorld()
  const n1 = await world.agent('n1')
  const n2: FakeAgent = await world.agent('n2')
  const make = async (body: object) =>
    (await world.call('createKey', { body: { name: 'k', ...body } })).secret
  const { token } = await world.call('createJoinToken', { body: { role: 'gateway', uses: 2 } })
  const gateway = { joinToken: token, role: 'gateway', name: 'g1' }
  const revoked = await world.call('createKey', { body: { name: 'gone', scopes: ['manage'] } })
  await world.call('revokeKey', { params: { id: revoked.id } })
  const expiresAtMs = world.clock.now() + 1_000
  keys.set('no key', undefined)
  keys.set('junk', 'yk_nonsense')
  keys.set('a revoked key', revoked.secret)
  keys.set('an expired key', await make({ scopes: ['manage'], expiresAtMs }))
  keys.set('a join token', token)
  keys.set('an inference key', await make({ scopes: ['inference'] }))
  keys.set('a read key', await make({ scopes: ['read'] }))
  keys.set('a manage key', await make({ scopes: ['manage'] }))
  keys.set('the key of node n1', n1.key)
  keys.set('the key of node n2', n2.key)
  keys.set('the key of a gateway', (await world.call('register', { body: gateway }, '')).key)
  await world.clock.advance(2_000)
}, 60_000)

afterAll(async () => {
  await world[Symbol.asyncDispose]()
})

describe.each(Object.keys(MAY))('%s', (carrier) => {
  it.each(all)('%s', async (id) => {
    for (const header of ['authorization', 'x-api-key'] as const) {
      const status = await probe(id, keys.get(carrier), header)
      if (id === 'register') expect(status).toBe(400)
      else if (MAY[carrier]!.includes(id)) expect([401, 403]).not.toContain(status)
      else expect(status).toBe(carrierIsKnown(carrier) ? 403 : 401)
    }
  })
})

function carrierIsKnown(carrier: string): boolean {
  return !['no key', 'junk', 'a revoked key', 'an expired key', 'a join token'].includes(carrier)
}

/** Asks with a body that no operation takes: whoever may not ask must not learn even that. */
async function probe(
  id: keyof Operations,
  key: string | undefined,
  header: 'authorization' | 'x-api-key',
): Promise<number> {
  const operation: Operation = operations[id]
  // Others are asked about what is not there, so that no carrier that may do it changes the world of the next.
  const name = operation.permission === 'node:self' ? 'n1' : 'absent-00000'
  const path = operation.path.replace('{name}', name).replace('{id}', 'abc')
  const request = new Request(`http://control.test${API_PREFIX}${path}`, {
    method: operation.method,
    headers: {
      'content-type': 'application/json',
      ...(key === undefined ? {} : { [header]: header === 'authorization' ? `Bearer ${key}` : key }),
    },
    ...(operation.method === 'GET' ? {} : { body: '{"nonsense":' }),
  })
  return (await world.sendRequest(request)).status
}
