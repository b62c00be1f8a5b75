import { expect, it } from 'vitest'
import { parseKey, verifySecret } from '../base/key-format.ts'
import { workUntil } from './fake-agent.testing.ts'
import { agentCredential, keyPepper, replicaCredential } from './machine-credentials.ts'
import { openControlWorld, PEPPER } from './world.testing.ts'

it('lets no secret into a log line, into the store, or into an answer that is not made to carry it', async () => {
  await using world = await openControlWorld()
  const n1 = await world.agent('n1')
  const gatewayToken = await world.call('createJoinToken', { body: { role: 'gateway' } })
  const gateway = await world.call(
    'register',
    { body: { joinToken: gatewayToken.token, role: 'gateway', name: 'g1' } },
    '',
  )
  const made = await world.call('createKey', { body: { name: 'k', scopes: ['read'] } })
  const token = await world.call('createJoinToken', { body: {} })
  await world.call('loadModel', {
    params: { name: 'm' },
    body: { spec: { source: 'builtin:tiny', engine: 'llama' } },
  })
  await workUntil(world, [n1], 'ready', async () => (await world.model('m')).status.phase === 'ready')
  const [replica] = await world.replicas('m')
  await world.call('gatewayView', {}, gateway.key)
  const carried = new Set(world.answers)
  world.answers.length = 0

  // Everything that a person can ask, and every way to be refused, with secrets in the wrong places.
  for (const id of [
    'listModels',
    'listReplicas',
    'listNodes',
    'listEndpoints',
    'getPlan',
    'listEvents',
    'listKeys',
  ] as const) {
    await world.call(id)
  }
  for (const id of ['listJoinTokens', 'whoAmI', 'version'] as const) await world.call(id)
  await world.send('register', { body: { joinToken: token.token, role: 'gateway', name: 'x' } }, '')
  await world.send(
    'register',
    { body: { joinToken: token.token, role: 'agent', name: 'n1', nope: token.token } },
    '',
  )
  await world.send('createKey', { body: { name: made.secret, scopes: [] } })
  await world.send('whoAmI', {}, `${made.secret}x`)
  await world.send('replicaLogs', { params: { name: replica!.name } })
  for (const path of ['/metrics', '/readyz', '/healthz', '/api/v1/openapi.json', `/${made.secret}`]) {
    const headers = { authorization: `Bearer ${world.adminKey}` }
    await world.sendRequest(new Request(`http://control.test${path}`, { headers }))
  }

  const secrets = {
    pepper: PEPPER,
    keyPepper: keyPepper(PEPPER),
    admin: parseKey(world.adminKey)!.secret,
    key: parseKey(made.secret)!.secret,
    node: parseKey(n1.key)!.secret,
    gateway: parseKey(gateway.key)!.secret,
    joinToken: parseKey(token.token)!.secret,
    agentCredential: agentCredential(PEPPER, 'n1'),
    replicaCredential: replicaCredential(PEPPER, replica!.name),
  }
  const stored = JSON.stringify((await world.memory.list('')).entries)
  const answered = world.answers.join('\n')
  for (const [what, secret] of Object.entries(secrets)) {
    expect(
      world.logs.filter((line) => line.includes(secret)),
      `${what} in the log`,
    ).toEqual([])
    expect(stored.includes(secret), `${what} in the store`).toBe(false)
    expect(answered.includes(secret), `${what} in an answer`).toBe(false)
  }
  expect(/"hash": ?"/.test(answered)).toBe(false)
  // The test would find them: this is where they are meant to be.
  for (const [what, secret] of Object.entries(secrets)) {
    // The first key is printed by the role, and the pepper itself goes nowhere.
    const isCarried = what !== 'admin' && what !== 'pepper'
    expect(
      [...carried].some((text) => text.includes(secret)),
      what,
    ).toBe(isCarried)
  }
})

it('gives gateways what checks keys, and nothing from which the credential of an agent could be made', async () => {
  await using world = await openControlWorld()
  const { token } = await world.call('createJoinToken', { body: { role: 'gateway' } })
  const body = { joinToken: token, role: 'gateway', name: 'g1' }
  const { key } = await world.call('register', { body }, '')
  const { pepper, keys } = await world.call('gatewayView', {}, key)
  const { id, secret } = parseKey(world.adminKey)!
  expect(verifySecret(pepper, secret, keys.find((known) => known.id === id)!.hash)).toBe(true)
  expect(agentCredential(pepper, 'n1')).not.toBe(agentCredential(PEPPER, 'n1'))
  expect(pepper).not.toBe(PEPPER)
})
