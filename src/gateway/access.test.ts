import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeKey } from '../base/key-format.ts'
import { eventually } from './eventually.testing.ts'
import { FakeUpstream } from './fake-upstream.testing.ts'
import { endpointAt, keyWith, TestGateway } from './gateway.testing.ts'

let upstream: FakeUpstream
let gateway: TestGateway

beforeEach(async () => {
  upstream = await FakeUpstream.start()
  gateway = await TestGateway.start({ endpoints: [endpointAt(upstream.port)] })
})
afterEach(async () => {
  await gateway.close()
  await upstream.close()
})

/** A chat request with these credentials only. */
const chatWith = (headers: Record<string, string>) =>
  gateway.chat({}, { authorization: '', ...headers }).answer()

describe('a credential', () => {
  it('counts as Bearer and as x-api-key', async () => {
    expect((await chatWith({ authorization: `bearer ${gateway.user.text}` })).status).toBe(200)
    expect((await chatWith({ 'x-api-key': gateway.user.text })).status).toBe(200)
  })

  it('of any bad kind gets the same 401', async () => {
    const expired = keyWith({ scopes: ['inference'], expiresAtMs: gateway.clock.now() - 1 })
    gateway.show({ keys: [...gateway.view.keys, expired.key] })
    const { id } = gateway.user.key
    const stranger = makeKey('yk', (size) => Buffer.alloc(size, 7)).text
    const token = makeKey('yj', (size) => Buffer.alloc(size, 9)).text
    const wrongSecret = keyWith({ scopes: ['inference'] })
    gateway.show({ keys: [...gateway.view.keys, { ...wrongSecret.key, hash: '00'.repeat(32) }] })
    const bad = [
      '',
      'Bearer',
      'Bearer x',
      `Basic ${gateway.user.text}`,
      `Bearer ${gateway.user.text.slice(0, -1)}x`,
      `Bearer yk_${id}_${'a'.repeat(49)}`,
      `Bearer ${stranger}`,
      `Bearer ${token}`,
      `Bearer ${expired.text}`,
      `Bearer ${wrongSecret.text}`,
      `Bearer ${'x'.repeat(5_000)}`,
    ]
    const bodies = new Set<string>()
    for (const authorization of bad) {
      const answer = await chatWith({ authorization })
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toBe('Bearer')
      expect(answer.headers['x-should-retry']).toBe('false')
      expect(answer.headers['x-request-id']).toBeDefined()
      bodies.add(answer.body)
    }
    expect([...bodies].map((body) => JSON.parse(body).error)).toMatchObject([
      { type: 'authentication_error', code: 'invalid_api_key' },
    ])
    expect(upstream.requests).toHaveLength(0)
  })

  it('stops working as soon as a view without it has come', async () => {
    expect((await gateway.chat().answer()).status).toBe(200)
    gateway.show({ keys: [] })
    expect((await gateway.chat().answer()).status).toBe(401)
  })

  it('stops working when it expires, also when it was just used', async () => {
    const short = keyWith({ scopes: ['inference'], expiresAtMs: gateway.clock.now() + 1_000 })
    gateway.show({ keys: [short.key] })
    expect((await chatWith({ authorization: `Bearer ${short.text}` })).status).toBe(200)
    await gateway.clock.advance(1_000)
    expect((await chatWith({ authorization: `Bearer ${short.text}` })).status).toBe(401)
  })

  it('never reaches the engine, the log or the answer', async () => {
    const answer = await gateway
      .chat(
        {},
        { cookie: 'session=1', 'x-api-key': 'other', 'x-forwarded-user': 'eve', forwarded: 'for=1.2.3.4' },
      )
      .answer()
    await gateway.chat({}, { authorization: `Bearer ${gateway.user.text}x` }).answer()
    const head = (await upstream.request()).rawHead.toLowerCase()
    for (const word of ['cookie', 'x-api-key', 'x-forwarded', 'forwarded', gateway.user.text.toLowerCase()]) {
      expect(head).not.toContain(word)
    }
    expect(head).toContain('authorization: bearer engine-secret')
    const all = gateway.logText.join('') + JSON.stringify(answer)
    expect(all).not.toContain(gateway.user.text.slice(16))
    expect(all).not.toContain('engine-secret')
  })
})

describe('scopes', () => {
  it.each([
    ['inference', { chat: 200, models: 200, metrics: 403 }],
    ['manage', { chat: 403, models: 403, metrics: 200 }],
    ['read', { chat: 403, models: 403, metrics: 200 }],
    ['node', { chat: 403, models: 403, metrics: 403 }],
    ['gateway', { chat: 403, models: 403, metrics: 403 }],
  ] as const)('%s may do what it is for', async (scope, expected) => {
    const { text, key } = keyWith({ scopes: [scope] })
    gateway.show({ keys: [key] })
    const headers = { authorization: `Bearer ${text}` }
    expect({
      chat: (await gateway.chat({}, headers).answer()).status,
      models: (await gateway.get('/v1/models', headers).answer()).status,
      metrics: (await gateway.get('/metrics', headers).answer()).status,
    }).toEqual(expected)
  })
})

describe('models of a key', () => {
  beforeEach(() => {
    const limited = keyWith({ scopes: ['inference'], models: ['tiny', 'support'] })
    gateway.show({
      keys: [limited.key, gateway.user.key],
      models: [
        { name: 'tiny', createdAtMs: 1_700_000_000_000, adapters: ['support', 'legal'], phase: 'ready' },
        { name: 'big', createdAtMs: 0, adapters: [], phase: 'ready' },
      ],
      endpoints: [endpointAt(upstream.port, { adapters: ['support'] })],
    })
    limitedHeaders = { authorization: `Bearer ${limited.text}` }
  })
  let limitedHeaders: Record<string, string>

  it('lists only what the key may use, adapters under their own names', async () => {
    const list = async (headers?: Record<string, string>) =>
      JSON.parse((await gateway.get('/v1/models', headers).answer()).body)
    expect(await list()).toMatchObject({ object: 'list' })
    expect((await list()).data.map(({ id }: { id: string }) => id)).toEqual([
      'big',
      'legal',
      'support',
      'tiny',
    ])
    expect((await list(limitedHeaders)).data).toEqual([
      { id: 'support', object: 'model', created: 1_700_000_000, owned_by: 'yardmaster', parent: 'tiny' },
      { id: 'tiny', object: 'model', created: 1_700_000_000, owned_by: 'yardmaster' },
    ])
  })

  it('shows one of them, and hides the others as if they did not exist', async () => {
    const one = async (id: string) => gateway.get(`/v1/models/${id}`, limitedHeaders).answer()
    expect(JSON.parse((await one('t%69ny')).body)).toMatchObject({ id: 'tiny' })
    const [hidden, missing] = [await one('big'), await one('none')]
    expect([hidden.status, missing.status]).toEqual([404, 404])
    expect(hidden.body.replace('big', 'none')).toBe(missing.body)
    expect((await one('org/name')).status).toBe(404)
    expect((await one('%zz')).status).toBe(404)
  })

  it('refuses others with 403 and passes adapters to a replica that has them', async () => {
    const refused = await gateway.chat({ model: 'big' }, limitedHeaders).answer()
    expect(refused.status).toBe(403)
    expect(JSON.parse(refused.body).error).toMatchObject({ code: 'model_not_allowed', param: 'model' })
    expect((await gateway.chat({ model: 'support' }, limitedHeaders).answer()).status).toBe(200)
    // Known, but loaded nowhere yet.
    const waiting = gateway.chat({ model: 'legal' })
    await eventually(() => gateway.gateway.stats().queued === 1, 'queued')
    waiting.leave()
  })
})
