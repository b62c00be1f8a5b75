import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ApiError } from '../../api/objects.ts'
import { type ControlWorld, openControlWorld } from '../world.testing.ts'

let world: ControlWorld
beforeAll(async () => {
  world = await openControlWorld()
})
afterAll(async () => {
  await world[Symbol.asyncDispose]()
})

describe('what is asked of a body', () => {
  it('names a field that does not exist, and the one that was meant', async () => {
    const { status, body } = await load('{"spec":{"source":"sim:a","engine":"sim","replcas":2}}')
    expect(status).toBe(400)
    expect(body.error).toMatchObject({
      code: 'unknown_field',
      message: 'there is no field spec.replcas',
      hint: 'did you mean spec.replicas?',
    })
  })

  it('finds unknown fields inside lists too', async () => {
    const spec = { source: 'sim:a', engine: 'sim', adapters: [{ name: 'x', source: 'sim:x', nmae: 1 }] }
    const { body } = await load(JSON.stringify({ spec }))
    expect(body.error).toMatchObject({ code: 'unknown_field', hint: 'did you mean spec.adapters.0.name?' })
  })

  it('says where a text stops being JSON, and quotes nothing of it', async () => {
    const { status, body } = await load('{"spec": {"source": "yj_SECRET",\n  nope}}')
    expect(status).toBe(400)
    expect(body.error).toMatchObject({ code: 'invalid_json', details: { offset: 35 } })
    expect(body.error.message).toContain('line 2, column 3')
    expect(JSON.stringify(body)).not.toContain('SECRET')
  })

  it('names each field that is wrong', async () => {
    const { status, body } = await load('{"spec":{"source":"nowhere","engine":"sim"},"replicas":0}')
    expect(status).toBe(400)
    expect(body.error.code).toBe('invalid_request')
    const fields = body.error.details.problems.map((problem: { field: string }) => problem.field)
    expect(fields.sort()).toEqual(['replicas', 'spec.source'])
  })

  it.each([
    ['an empty body', '', 'invalid_json'],
    ['null', 'null', 'invalid_request'],
    ['a list', '[]', 'invalid_request'],
    ['text that is not UTF-8', new Uint8Array([0x7b, 0xff, 0xfe, 0x7d]), 'invalid_json'],
    ['a prototype', '{"__proto__":{"spec":{}}}', 'unknown_field'],
  ])('refuses %s', async (_, text, code) => {
    const { status, body } = await load(text)
    expect([status, body.error.code]).toEqual([400, code])
  })

  it('takes JSON only by its name, so that a form of another site is none', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', '']) {
      const { status, body } = await load('{}', { 'content-type': type })
      expect([status, body.error.reason]).toEqual([400, 'content_type'])
    }
    expect((await load('{}', { 'content-type': 'Application/JSON; charset=utf-8' })).status).toBe(404)
  })

  it('stops reading at the limit, whether the size was announced or not', async () => {
    const big = `{"labels":{"a":"${'x'.repeat(1_100_000)}"}}`
    expect((await load(big)).status).toBe(413)
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(65_536).fill(0x20))
      },
    })
    const answer = await world.sendRequest(
      new Request('http://control.test/api/v1/models/m/load', {
        method: 'POST',
        headers: headers({}),
        body: endless,
        duplex: 'half',
      } as RequestInit),
    )
    expect(answer.body.error.code).toBe('too_large')
    expect(pulled).toBeLessThan(40)
  })

  it('gives up on a body that does not come', async () => {
    const silent = new ReadableStream<Uint8Array>({ pull: () => new Promise(() => {}) })
    const answer = await world.sendRequest(
      new Request('http://control.test/api/v1/models/m/load', {
        method: 'POST',
        headers: headers({}),
        body: silent,
        duplex: 'half',
      } as RequestInit),
    )
    expect([answer.status, answer.body.error.code]).toEqual([408, 'timed_out'])
  })
})

describe('what is asked of a path and a query', () => {
  it('answers 404 for a path and 405, with what is allowed, for a method', async () => {
    expect((await get('/api/v1/nothing')).body.error).toMatchObject({ code: 'not_found', reason: 'path' })
    expect((await get('/api/v1/models/')).status).toBe(404)
    expect((await get('/')).status).toBe(404)
    const wrong = await get('/api/v1/models/m', { method: 'PATCH' })
    expect(wrong.status).toBe(405)
    expect(wrong.headers.get('allow')).toBe('DELETE, GET, PUT')
  })

  it.each(['..%2f..%2fetc', 'UPPER', 'a%00b', '%', 'a%2fb', 'x'.repeat(64)])(
    'does not take %s for a name',
    async (name) => {
      expect([400, 404]).toContain((await get(`/api/v1/models/${name}`)).status)
    },
  )

  it('refuses a parameter that it does not know, that is given twice or that is out of range', async () => {
    expect((await get('/api/v1/events?limt=5')).body.error).toMatchObject({
      code: 'unknown_field',
      hint: 'did you mean limit?',
    })
    expect((await get('/api/v1/events?limit=5&limit=6')).status).toBe(400)
    expect((await get('/api/v1/events?limit=0')).status).toBe(400)
    expect((await get('/api/v1/events?limit=1000')).status).toBe(200)
  })
})

describe('what every answer has', () => {
  it('has the request id of the caller when it is harmless, else a new one', async () => {
    const given = await get('/api/v1/models', { headers: { 'x-request-id': 'build-42.a_b' } })
    expect(given.headers.get('x-request-id')).toBe('build-42.a_b')
    for (const bad of ['short', 'a b c d e f g', 'x'.repeat(65), '"><script>alert']) {
      const made = await get('/api/v1/models', { headers: { 'x-request-id': bad } })
      expect(made.headers.get('x-request-id')).toMatch(/^req-[0-9a-f]{24}$/)
    }
  })

  it('has the one envelope when it is a fault, with the request id', async () => {
    for (const path of ['/nowhere', '/api/v1/models/none', '/api/v1/events?x=1']) {
      const { body, headers: answered } = await get(path)
      expect(ApiError.parse(body)).toEqual(body)
      expect(body.error.requestId).toBe(answered.get('x-request-id'))
      expect(answered.get('cache-control')).toBe('no-store')
    }
  })

  it('asks for a bearer when there is no key', async () => {
    const { status, headers: answered } = await get('/api/v1/models', { headers: { authorization: '' } })
    expect([status, answered.get('www-authenticate')]).toEqual([401, 'Bearer realm="yard"'])
  })
})

describe('who may send at all', () => {
  it.each([
    ['sec-fetch-site', 'cross-site'],
    ['sec-fetch-site', 'same-site'],
    ['origin', 'https://evil.example'],
    ['origin', 'http://control.test:9999'],
    ['origin', 'null'],
  ])('refuses a browser on behalf of another site, %s: %s, on every method and path', async (name, value) => {
    for (const [path, method] of [
      ['/api/v1/models', 'GET'],
      ['/api/v1/models', 'POST'],
      ['/healthz', 'GET'],
      ['/metrics', 'GET'],
    ] as const) {
      const { status, body } = await get(path, { method, headers: { [name]: value } })
      expect([status, body.error.reason]).toEqual([403, 'cross_site'])
    }
  })

  it('lets its own page and people who type an address in', async () => {
    for (const own of [
      { 'sec-fetch-site': 'same-origin', origin: 'http://control.test' },
      { 'sec-fetch-site': 'none' },
    ]) {
      expect((await get('/api/v1/models', { headers: own })).status).toBe(200)
    }
  })
})

describe('the pages beside the API', () => {
  it('says that it is alive to anybody, and nothing else', async () => {
    const { status, body } = await get('/healthz', { headers: { authorization: '' } })
    expect([status, body]).toEqual([200, { status: 'ok' }])
    expect((await get('/healthz', { method: 'POST' })).status).toBe(405)
  })

  it('says by name what it is ready for', async () => {
    const { status, body } = await get('/readyz', { headers: { authorization: '' } })
    expect([status, body]).toEqual([
      200,
      { status: 'ok', checks: { store: 'ok', leader: 'ok', cache: 'ok', records: 'ok' } },
    ])
  })

  it('gives metrics and the OpenAPI document to who has a key only', async () => {
    for (const path of ['/metrics', '/api/v1/openapi.json']) {
      expect((await get(path, { headers: { authorization: '' } })).status).toBe(401)
    }
    expect((await get('/metrics')).body).toContain('yard_control_leader 1\n')
    expect((await get('/api/v1/openapi.json')).body.openapi).toBe('3.1.0')
  })
})

function headers(more: Record<string, string>): Record<string, string> {
  return { authorization: `Bearer ${world.adminKey}`, 'content-type': 'application/json', ...more }
}

function load(body: string | Uint8Array<ArrayBuffer>, more: Record<string, string> = {}) {
  const init = { method: 'POST', headers: headers(more), body }
  return world.sendRequest(new Request('http://control.test/api/v1/models/m/load', init))
}

function get(path: string, init: { method?: string; headers?: Record<string, string> } = {}) {
  const request = new Request(`http://control.test${path}`, { ...init, headers: headers(init.headers ?? {}) })
  return world.sendRequest(request)
}
