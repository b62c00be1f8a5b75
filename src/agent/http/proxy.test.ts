import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { silentLog } from '../../base/log.ts'
import { anAssignment } from '../agent.testing.ts'
import type { EngineLogs } from '../logs/engine-logs.ts'
import { createAgentApi } from './agent-api.ts'
import { agentListener } from './agent-listener.ts'
import { bearerOf, isCredential } from './credential.ts'
import { loopbackHttp } from './engine-http.ts'
import { createEngineProxy } from './engine-proxy.ts'

const closers: (() => void)[] = []
afterEach(() => {
  for (const close of closers.splice(0)) close()
})

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closers.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

interface Seen {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

const LOGS = {
  tail: async (replica: string) => (replica === 'a/b' ? new TextEncoder().encode('one\ntwo\n') : undefined),
  async *follow(_replica: string, _lines: number, signal: AbortSignal) {
    yield new TextEncoder().encode('now\n')
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
    followersLeft++
  },
} as unknown as EngineLogs
let followersLeft = 0

/** An agent's listener before one engine. */
async function aProxy(engine: (request: IncomingMessage, response: ServerResponse) => void) {
  const seen: Seen[] = []
  const enginePort = await listen(
    createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on('data', (chunk) => chunks.push(chunk))
      request.on('end', () => {
        const { method = '', url = '', headers } = request
        seen.push({ method, url, headers, body: Buffer.concat(chunks).toString() })
        engine(request, response)
      })
    }),
  )
  const assignment = anAssignment({ replica: 'r/1', port: enginePort, credential: 'replica-secret' })
  let serving = true
  const agentCredential = () => 'agent-secret'
  const proxy = createEngineProxy({
    serving: (replica) => (serving && replica === 'r/1' ? assignment : undefined),
    agentCredential,
    log: silentLog,
  })
  const port = await listen(
    createServer(agentListener(createAgentApi({ logs: LOGS, agentCredential }), proxy)),
  )
  return {
    proxy,
    seen,
    enginePort,
    url: (path: string) => `http://127.0.0.1:${port}${path}`,
    post: (path: string, more: RequestInit = {}) =>
      fetch(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        body: '{"model":"tiny"}',
        ...more,
        headers: {
          authorization: 'Bearer replica-secret',
          'content-type': 'application/json',
          ...more.headers,
        },
      }),
    stopServing: () => {
      serving = false
    },
  }
}

const CHAT = '/engines/r%2F1/v1/chat/completions'

describe('the way to an engine', () => {
  test('passes body and answer on, and tells the engine nothing of who asked', async () => {
    const world = await aProxy((_request, response) => {
      response.writeHead(201, {
        'content-type': 'application/json',
        'set-cookie': 'a=b',
        'x-request-id': 'q',
      })
      response.end('{"ok":true}')
    })
    const answer = await world.post(`${CHAT}?user=1`, {
      headers: {
        cookie: 'session=1',
        'x-api-key': 'k',
        'x-forwarded-for': '10.0.0.9',
        'x-request-id': 'q',
        traceparent: '00-1-2-01',
      },
    })
    expect(answer.status).toBe(201)
    expect(await answer.json()).toEqual({ ok: true })
    expect(answer.headers.get('set-cookie')).toBeNull()
    expect(answer.headers.get('x-request-id')).toBe('q')
    expect(world.seen).toMatchObject([
      { method: 'POST', url: '/v1/chat/completions', body: '{"model":"tiny"}' },
    ])
    const { host, connection, ...headers } = world.seen[0]?.headers ?? {}
    expect(headers).toEqual({
      accept: '*/*',
      authorization: 'Bearer replica-secret',
      'content-type': 'application/json',
      'content-length': '16',
      'x-request-id': 'q',
      traceparent: '00-1-2-01',
    })
  })

  test.each([
    ['no credential', CHAT, { headers: { authorization: '' } }, 401],
    ['another credential', CHAT, { headers: { authorization: 'Bearer replica-secrets' } }, 401],
    ['the agent’s credential', CHAT, { headers: { authorization: 'Bearer agent-secret' } }, 401],
    ['an unknown replica', '/engines/r2/v1/chat/completions', {}, 401],
    ['a path that is not allowed', '/engines/r%2F1/sleep', {}, 404],
    ['a path that leads out', '/engines/r%2F1/v1/../pause', {}, 404],
    ['a path in other letters', '/engines/r%2F1/V1/chat/completions', {}, 404],
    ['an allowed path with another method', '/engines/r%2F1/v1/models', {}, 404],
    ['metrics with the replica’s credential', '/engines/r%2F1/metrics', { method: 'GET', body: null }, 401],
  ] as [string, string, RequestInit, number][])('is closed to %s', async (_what, path, more, status) => {
    const world = await aProxy((_request, response) => response.end())
    const answer = await world.post(path, more)
    expect(answer.status).toBe(status)
    expect(await answer.json()).toMatchObject({
      error: { code: expect.any(String), message: expect.any(String) },
    })
    expect(world.seen).toEqual([])
  })

  test('gives models to the replica’s credential and metrics to the agent’s', async () => {
    const world = await aProxy((request, response) => response.end(request.url))
    const get = (path: string, secret: string) =>
      fetch(world.url(path), { headers: { authorization: `Bearer ${secret}` } }).then((answer) =>
        answer.text(),
      )
    expect(await get('/engines/r%2F1/v1/models', 'replica-secret')).toBe('/v1/models')
    expect(await get('/engines/r%2F1/metrics', 'agent-secret')).toBe('/metrics')
    expect(world.seen.map((one) => one.headers.authorization)).toEqual([
      'Bearer replica-secret',
      'Bearer replica-secret',
    ])
  })

  test('streams: each part arrives before the next is written', async () => {
    let more: (text: string) => void = () => {}
    const world = await aProxy((_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      more = (text) => response.write(text)
      response.flushHeaders()
    })
    const reader = (await world.post(CHAT)).body?.getReader()
    for (const text of ['data: 1\n\n', 'data: 2\n\n']) {
      more(text)
      expect(new TextDecoder().decode((await reader?.read())?.value)).toBe(text)
    }
    expect(world.proxy.inFlight('r/1')).toBe(1)
    await reader?.cancel()
    await vi.waitFor(() => expect(world.proxy.inFlight('r/1')).toBe(0))
  })

  test('a caller that leaves ends its request at the engine, before and during the answer', async () => {
    let left = 0
    const world = await aProxy((request, response) => {
      response.once('close', () => left++)
      if (request.headers['x-request-id'] === 'during') response.write('part')
    })
    for (const when of ['before', 'during']) {
      const gone = new AbortController()
      const answer = world
        .post(CHAT, { signal: gone.signal, headers: { 'x-request-id': when } })
        .catch(() => {})
      await vi.waitFor(() => expect(world.seen.at(-1)?.headers['x-request-id']).toBe(when))
      if (when === 'during') await answer
      gone.abort()
    }
    await vi.waitFor(() => expect(left).toBe(2))
  })

  test('an answer that breaks off does not look whole', async () => {
    const world = await aProxy((_request, response) => {
      response.write('part')
      setImmediate(() => response.destroy())
    })
    await expect(world.post(CHAT).then((answer) => answer.text())).rejects.toThrow()
  })

  test('an engine that is gone is 502, a replica that does not serve looks like a wrong credential', async () => {
    const world = await aProxy((request) => request.socket.destroy())
    expect((await world.post(CHAT)).status).toBe(502)
    world.stopServing()
    expect((await world.post(CHAT)).status).toBe(401)
  })

  test('requests of a replica that is stopped are ended', async () => {
    const world = await aProxy(() => {})
    const answer = world.post(CHAT)
    const seen = expect(answer).rejects.toThrow()
    await vi.waitFor(() => expect(world.proxy.inFlight('r/1')).toBe(1))
    world.proxy.end('r/1')
    await seen
    await vi.waitFor(() => expect(world.proxy.inFlight('r/1')).toBe(0))
  })

  test('a body that is too large is refused without being read', async () => {
    const world = await aProxy((_request, response) => response.end())
    const status = await new Promise((resolve, reject) => {
      const headers = { authorization: 'Bearer replica-secret', 'content-length': String(2 ** 31) }
      const request = httpRequest(world.url(CHAT), { method: 'POST', headers }, (answer) => {
        resolve(answer.statusCode)
        request.destroy()
      })
      request.on('error', reject)
      request.write('x')
    })
    expect(status).toBe(413)
  })

  test('large bodies go through both ways', async () => {
    const big = 'x'.repeat(8_000_000)
    const world = await aProxy((_request, response) => response.end(big))
    const answer = await world.post(CHAT, { body: big })
    expect((await answer.text()).length).toBe(big.length)
    expect(world.seen[0]?.body.length).toBe(big.length)
  })
})

describe('the agent’s own API', () => {
  const asControl = { headers: { authorization: 'Bearer agent-secret' } }

  test('tells anybody that it is alive, and nothing else', async () => {
    const world = await aProxy(() => {})
    expect(await (await fetch(world.url('/healthz'))).json()).toEqual({ status: 'ok' })
    expect((await fetch(world.url('/replicas/a%2Fb/logs'))).status).toBe(401)
    expect((await fetch(world.url('/anything'))).status).toBe(401)
  })

  test('gives logs to control', async () => {
    const world = await aProxy(() => {})
    const answer = await fetch(world.url('/replicas/a%2Fb/logs?tail=2'), asControl)
    expect(answer.headers.get('content-type')).toContain('text/plain')
    expect(await answer.text()).toBe('one\ntwo\n')
    expect((await fetch(world.url('/replicas/none/logs'), asControl)).status).toBe(404)
    expect((await fetch(world.url('/replicas/a%2Fb/logs?tail=x'), asControl)).status).toBe(400)
    expect((await fetch(world.url('/replicas/a%2Fb/logs'), { ...asControl, method: 'DELETE' })).status).toBe(
      405,
    )
    expect((await fetch(world.url('/replicas/%E0%A4%A/logs'), asControl)).status).toBe(400)
  })

  test('follows a log until the caller leaves', async () => {
    const world = await aProxy(() => {})
    const gone = new AbortController()
    const answer = await fetch(world.url('/replicas/a%2Fb/logs?follow=true'), {
      ...asControl,
      signal: gone.signal,
    })
    const reader = answer.body?.getReader()
    expect(new TextDecoder().decode((await reader?.read())?.value)).toBe('now\n')
    const before = followersLeft
    gone.abort()
    await vi.waitFor(() => expect(followersLeft).toBe(before + 1))
  })

  test('an odd request is refused as what it is, not as a fault of the agent', async () => {
    const world = await aProxy((_request, response) => response.end())
    const { port } = new URL(world.url('/'))
    const ask = (method: string, path: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        const request = httpRequest({ host: '127.0.0.1', port, method, path }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        request.on('error', reject).end()
      })
    expect(await ask('GET', '//')).toBe(400)
    expect(await ask('TRACE', '/healthz')).toBe(405)
    expect(await ask('HEAD', '/healthz')).toBe(200)
  })

  test('an agent that has not registered answers nobody', async () => {
    const fetchAgent = createAgentApi({ logs: LOGS, agentCredential: () => undefined })
    for (const header of ['Bearer undefined', 'Bearer ', '']) {
      const request = new Request('http://agent/replicas/a/logs', { headers: { authorization: header } })
      expect((await fetchAgent(request)).status).toBe(401)
    }
  })
})

describe('credentials', () => {
  test('are compared whole', () => {
    expect(isCredential('secret', 'secret')).toBe(true)
    for (const [given, secret] of [
      ['secret', 'secrets'],
      ['', ''],
      [undefined, undefined],
      ['undefined', undefined],
      [undefined, 'secret'],
    ]) {
      expect(isCredential(given, secret)).toBe(false)
    }
    expect(bearerOf('bearer  abc')).toBe('abc')
    expect(bearerOf('Basic abc')).toBeUndefined()
  })
})

describe('a call to an engine', () => {
  const http = loopbackHttp(systemClock)
  const call = { method: 'GET' as const, path: '/health', timeoutMs: 5_000 }

  test('carries the credential, and follows a redirect to the same engine only', async () => {
    const { enginePort, seen } = await aProxy((request, response) => {
      const moved = { '/metrics': '/metrics/', '/away': 'http://127.0.0.1:1/x' }[request.url ?? '']
      response.writeHead(moved === undefined ? 200 : 307, moved === undefined ? {} : { location: moved })
      response.end('body')
    })
    const engine = { port: enginePort, credential: 'c' }
    expect(await http(engine, { ...call, path: '/metrics' })).toEqual({
      kind: 'answer',
      status: 200,
      body: 'body',
    })
    expect(await http(engine, { ...call, path: '/away' })).toMatchObject({ status: 307 })
    expect(seen.map((one) => [one.url, one.headers.authorization])).toEqual([
      ['/metrics', 'Bearer c'],
      ['/metrics/', 'Bearer c'],
      ['/away', 'Bearer c'],
    ])
  })

  test('sends a body as JSON', async () => {
    const { enginePort, seen } = await aProxy((_request, response) => response.end())
    await http({ port: enginePort, credential: 'c' }, { ...call, method: 'POST', body: { a: 1 } })
    expect(seen[0]).toMatchObject({ body: '{"a":1}', headers: { 'content-type': 'application/json' } })
  })

  test('tells refused, reset, late and ended apart', async () => {
    const free = await listen(createServer())
    closers.pop()?.()
    await vi.waitFor(async () =>
      expect(await http({ port: free, credential: 'c' }, call)).toEqual({ kind: 'refused' }),
    )
    const reset = await aProxy((request) => request.socket.destroy())
    expect(await http({ port: reset.enginePort, credential: 'c' }, call)).toEqual({ kind: 'reset' })
    const late = await aProxy(() => {})
    const engine = { port: late.enginePort, credential: 'c' }
    expect(await http(engine, { ...call, timeoutMs: 50 })).toEqual({ kind: 'timeout' })
    const ended = new AbortController()
    const result = http(engine, call, ended.signal)
    ended.abort()
    expect(await result).toEqual({ kind: 'reset' })
  })
})
