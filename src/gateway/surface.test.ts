import { connect } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from './eventually.testing.ts'
import { CHAT_ANSWER, delta, FakeUpstream, finish } from './fake-upstream.testing.ts'
import { endpointAt, TestGateway } from './gateway.testing.ts'

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

describe('errors of the surface', () => {
  it.each([
    ['GET', '/v1/chat/completions', 405, 'method_not_allowed'],
    ['POST', '/v1/models', 405, 'method_not_allowed'],
    ['POST', '/metrics', 405, 'method_not_allowed'],
    ['POST', '/v1/nothing', 404, 'unknown_url'],
    ['GET', '/', 404, 'unknown_url'],
  ])('%s %s is %i', async (method, path, status, code) => {
    const answer = await (method === 'GET' ? gateway.get(path) : gateway.post(path, {}, {})).answer()
    expect(answer.status).toBe(status)
    expect(JSON.parse(answer.body).error.code).toBe(code)
    expect(answer.headers['x-request-id']).toBeDefined()
  })

  it.each([
    ['not JSON', '{"model":"tiny"', 400, 'invalid_json'],
    ['no model', '{}', 400, 'missing_field'],
    ['an unknown model', '{"model":"none"}', 404, 'model_not_found'],
    ['an empty body', '', 400, 'invalid_json'],
  ])('a body with %s is refused in the envelope of OpenAI', async (_, body, status, code) => {
    const answer = await gateway.post('/v1/chat/completions', body).answer()
    expect(answer.status).toBe(status)
    const { error } = JSON.parse(answer.body)
    expect(error).toMatchObject({ type: 'invalid_request_error', code })
    expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code'])
    expect(answer.headers['x-should-retry']).toBe('false')
  })

  it('other content types are refused, and none is taken for JSON', async () => {
    const status = async (headers: Record<string, string>) =>
      (await gateway.chat({}, headers).answer()).status
    expect(await status({ 'content-type': 'text/plain' })).toBe(415)
    expect(await status({ 'content-encoding': 'gzip' })).toBe(415)
    expect(await status({ 'content-type': 'application/json; charset=utf-8' })).toBe(200)
    expect(await status({ 'content-type': '' })).toBe(415)
    const socket = gateway.rawSocket()
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString()
    })
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: ${gateway.user.text}\r\ncontent-length: 16\r\n\r\n{"model":"tiny"}`,
    )
    await eventually(() => text.startsWith('HTTP/1.1 200'), '200 without a content type')
    socket.destroy()
  })

  it.each([
    ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n'],
    ['a length beside chunks', 'content-length: 5\r\ntransfer-encoding: chunked\r\n'],
    ['a folded header', 'x: a\r\n b\r\ncontent-length : 5\r\n'],
  ])('%s in a request are refused with a JSON error', async (_, headers) => {
    const socket = gateway.rawSocket()
    let text = ''
    socket.on('data', (bytes) => {
      text += bytes.toString()
    })
    socket.on('error', () => {})
    socket.write(`POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n${headers}\r\n{}`)
    await eventually(() => text.includes('malformed_http'), '400')
    expect(text).toMatch(/^HTTP\/1\.1 400 /)
    expect(text).toMatch(/x-request-id: /)
    expect(upstream.requests).toHaveLength(0)
  })
})

describe('health', () => {
  it('is told to everybody, readiness only with a view', async () => {
    const fresh = await TestGateway.start()
    const status = async (path: string) => (await fresh.get(path, {}).answer()).status
    expect(await status('/healthz')).toBe(200)
    const before = await fresh.get('/readyz', {}).answer()
    expect(before.status).toBe(503)
    expect(JSON.parse(before.body)).toEqual({ ready: false, checks: { view: 'none yet', draining: 'no' } })
    expect((await fresh.chat().answer()).status).toBe(503)
    fresh.show({})
    expect(await status('/readyz')).toBe(200)
    await fresh.close()
  })
})

describe('what goes upstream', () => {
  it('has our ids, the credential of the engine and the path of the route', async () => {
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
    const answer = await gateway
      .post(
        '/v1/embeddings',
        { model: 'tiny', input: 'x' },
        { traceparent, tracestate: 'a=1', 'x-request-id': 'my-request.1' },
      )
      .answer()
    const request = await upstream.request()
    expect(request.path).toBe('/v1/embeddings')
    expect(Object.fromEntries(request.headers)).toEqual({
      host: `127.0.0.1:${upstream.port}`,
      authorization: 'Bearer engine-secret',
      'content-type': 'application/json',
      'accept-encoding': 'identity',
      'user-agent': 'yardmaster',
      'content-length': String(request.body.length),
      'x-request-id': 'my-request.1',
      traceparent,
      tracestate: 'a=1',
    })
    expect(answer.headers['x-request-id']).toBe('my-request.1')
    expect(gateway.requestLines[0]).toMatchObject({
      requestId: 'my-request.1',
      traceId: '0af7651916cd43dd8448eb211c80319c',
    })
  })

  it('gets ids of ours when those of the client are not well formed', async () => {
    const answer = await gateway
      .chat(
        {},
        { traceparent: '00-00000000000000000000000000000000-b7ad6b7169203331-01', 'x-request-id': 'a b"c' },
      )
      .answer()
    const { headers } = await upstream.request()
    expect(answer.headers['x-request-id']).toMatch(/^req_[0-9a-f]{24}$/)
    expect(headers.get('traceparent')).toMatch(/^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-00$/)
  })

  it('takes the way of the agent when the engine is on another machine', async () => {
    gateway.show({
      endpoints: [
        endpointAt(1, {
          replica: 'tiny-abc',
          address: { kind: 'node', agentUrl: `http://other-machine:${upstream.port}/`, port: 20_000 },
        }),
      ],
    })
    await gateway.chat().answer()
    expect((await upstream.request()).path).toBe('/engines/tiny-abc/v1/chat/completions')
    expect((await upstream.request()).headers.get('authorization')).toBe('Bearer engine-secret')
  })

  it('has the name and key of an external service, and every other byte of the request', async () => {
    const external = await TestGateway.start({
      env: { PROVIDER_KEY: 'provider-secret' },
      endpoints: [
        endpointAt(1, {
          engine: 'external',
          address: {
            kind: 'external',
            url: `http://127.0.0.1:${upstream.port}/openai/v1`,
            model: 'org/Big-1',
            keyEnv: 'PROVIDER_KEY',
          },
        }),
      ],
    })
    await external.post('/v1/chat/completions', '{"x":1.0,"model":"tiny","y":[ ]}').answer()
    const request = await upstream.request()
    expect(request.path).toBe('/openai/v1/chat/completions')
    expect(request.body.toString()).toBe('{"x":1.0,"model":"org/Big-1","y":[ ]}')
    expect(request.headers.get('authorization')).toBe('Bearer provider-secret')
    await external.close()
  })
})

describe('an external service over TLS', () => {
  it('is spoken to by its name, and its answer read like any other', async () => {
    const asked: ConnectionOptions[] = []
    const external = await TestGateway.start({
      endpoints: [
        endpointAt(1, { address: { kind: 'external', url: 'https://api.example.com/v1', model: 'tiny' } }),
      ],
      // TLS itself is Node's; what counts here is how we use it.
      connectTls: (options) => {
        asked.push(options)
        const socket = connect(upstream.port, '127.0.0.1') as TLSSocket
        socket.on('connect', () => socket.emit('secureConnect'))
        return socket
      },
    })
    upstream.answer = (request) => {
      if (upstream.requests.length === 1) {
        request.json(200, CHAT_ANSWER)
        return
      }
      request.streamHead()
      request.event(delta('a'))
      request.event('[DONE]')
      request.endStream()
    }
    expect((await external.chat().answer()).body).toBe(JSON.stringify(CHAT_ANSWER))
    expect((await external.chat({ stream: true }).answer()).body).toContain('[DONE]')
    expect(asked).toEqual([
      { host: 'api.example.com', port: 443, servername: 'api.example.com', ALPNProtocols: ['http/1.1'] },
    ])
    expect((await upstream.request()).headers.get('host')).toBe('api.example.com')
    await external.close()
  })
})

describe('metrics', () => {
  it('count requests, tokens and times under known names only', async () => {
    await gateway.chat().answer()
    await gateway.chat({ model: 'made-up-by-a-client' }).answer()
    upstream.answer = (request) => {
      request.streamHead()
      request.event(delta('a'))
      request.event({ ...finish('stop'), usage: { prompt_tokens: 2, completion_tokens: 5 } })
      request.event('[DONE]')
      request.endStream()
    }
    await gateway.chat({ stream: true }).answer()
    const { body, headers } = await gateway.get('/metrics', { 'x-api-key': gateway.reader.text }).answer()
    expect(headers['content-type']).toContain('text/plain')
    const lines = body.split('\n')
    const route = 'model="tiny",route="chat_completions"'
    expect(lines).toContain(`yard_gateway_requests_total{${route},code="200",outcome="ok"} 2`)
    expect(lines).toContain(`yard_gateway_tokens_total{${route},direction="prompt"} 9`)
    expect(lines).toContain(`yard_gateway_tokens_total{${route},direction="completion"} 8`)
    expect(lines).toContain(`yard_gateway_request_duration_seconds_count{${route}} 2`)
    expect(lines).toContain(`yard_gateway_ttft_seconds_count{${route}} 1`)
    expect(lines).toContain('yard_gateway_rejected_total{reason="model_not_found"} 1')
    expect(lines).toContain('yard_router_pick_total{reason="only_one"} 2')
    expect(lines).toContain('yard_gateway_snapshot_age_seconds 0')
    expect(lines).toContain(`yard_gateway_replica_inflight{replica="tiny-${upstream.port}"} 0`)
    expect(body).not.toContain('made-up')
    for (const line of lines) expect(line).toMatch(/^(#.*|[a-z_]+(\{.*\})? (\+Inf|-?[\d.e+-]+)|)$/)
  })

  it('are one log line for each request, with the key by id and nothing of what was said', async () => {
    await gateway.chat({ messages: [{ role: 'user', content: 'my secret plan' }] }).answer()
    expect(gateway.requestLines).toEqual([
      expect.objectContaining({
        level: 'info',
        route: 'chat_completions',
        keyId: gateway.user.key.id,
        model: 'tiny',
        replica: `tiny-${upstream.port}`,
        status: 200,
        outcome: 'ok',
        attempts: 1,
        promptTokens: 7,
        completionTokens: 3,
        responseBytes: Buffer.byteLength(JSON.stringify(CHAT_ANSWER)),
      }),
    ])
    expect(gateway.logText.join('')).not.toContain('secret plan')
  })
})
