import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from './eventually.testing.ts'
import { CHAT_ANSWER, delta, FakeUpstream, finish } from './fake-upstream.testing.ts'
import { endpointAt, TestGateway } from './gateway.testing.ts'

let upstream: FakeUpstream
let gateway: TestGateway

beforeEach(async () => {
  upstream = await FakeUpstream.start()
  gateway = await TestGateway.start({
    endpoints: [endpointAt(upstream.port)],
    settings: { maxBodyBytes: 200_000, maxQueued: 2 },
  })
})
afterEach(async () => {
  await gateway.close()
  await upstream.close()
})

describe('a body that is too large', () => {
  it('is refused by its told length before it is read, and the connection ends cleanly', async () => {
    const socket = gateway.rawSocket()
    let answer = ''
    let ended = false
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    socket.on('end', () => {
      ended = true
    })
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\ncontent-length: 50000000\r\n\r\n{`,
    )
    await eventually(() => ended, 'the gateway hangs up')
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
    expect(answer).toContain('"code":"request_too_large"')
    expect(answer).toMatch(/x-request-id: req_/)
  })

  it('is refused while it is read when no length was told', async () => {
    const socket = gateway.rawSocket()
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    socket.on('error', () => {})
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\ntransfer-encoding: chunked\r\n\r\n`,
    )
    for (let count = 0; count < 30; count++) socket.write(`2710\r\n${'x'.repeat(10_000)}\r\n`)
    await eventually(() => answer.includes('request_too_large'), '413')
    expect(gateway.gateway.stats()).toMatchObject({ inFlight: 0, heldBodyBytes: 0 })
    socket.destroy()
  })

  it('is never asked for with Expect: 100-continue', async () => {
    const socket = gateway.rawSocket()
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\nexpect: 100-continue\r\ncontent-length: 50000000\r\n\r\n`,
    )
    await eventually(() => answer.includes('\r\n\r\n'), 'an answer')
    expect(answer).toMatch(/^HTTP\/1\.1 413 /)
  })
})

describe('a body that is allowed', () => {
  it('is asked for with Expect: 100-continue', async () => {
    const socket = gateway.rawSocket()
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    const body = '{"model":"tiny"}'
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\nexpect: 100-continue\r\ncontent-length: ${body.length}\r\n\r\n`,
    )
    await eventually(() => answer.startsWith('HTTP/1.1 100 Continue'), '100')
    socket.write(body)
    await eventually(() => answer.includes('HTTP/1.1 200 OK'), '200')
    socket.destroy()
  })

  it('reaches the engine byte for byte, large ones and odd ones too', async () => {
    const body = `{ "top_k":1.50e1,"chat_template_kwargs":{"x":[ ]},"messages":"é\\u00e9${'y'.repeat(150_000)}","model" : "tiny" }`
    expect((await gateway.post('/v1/chat/completions', body).answer()).status).toBe(200)
    expect((await upstream.request()).body.toString()).toBe(body)
  })

  it('that does not arrive in time is given up', async () => {
    const socket = gateway.rawSocket()
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\ncontent-length: 100\r\n\r\n{`,
    )
    await eventually(() => gateway.gateway.stats().inFlight === 1, 'the head arrived')
    await gateway.clock.advance(120_100)
    await eventually(() => answer.includes('request_timeout'), '408')
    socket.destroy()
  })
})

describe('large answers', () => {
  it('pass whole, with their length', async () => {
    const text = JSON.stringify({ data: 'é'.repeat(600_000) })
    upstream.answer = (request) => request.json(200, JSON.parse(text))
    const answer = await gateway.post('/v1/embeddings', { model: 'tiny', input: 'x' }).answer()
    expect(answer.whole).toBe(true)
    expect(answer.body).toBe(text)
    expect(answer.headers['content-length']).toBe(String(Buffer.byteLength(text)))
  })

  it('that break off are cut, not ended', async () => {
    upstream.answer = (request) => {
      request.raw(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n7a120\r\n{${'x'.repeat(400_000)}`,
      )
    }
    const sent = gateway.post('/v1/embeddings', { model: 'tiny', input: 'x' })
    await eventually(() => sent.body.length > 0, 'first bytes')
    ;(await upstream.request()).die()
    const answer = await sent.answer()
    expect(answer.whole).toBe(false)
    expect(answer.body).not.toContain('error')
  })
})

describe('a stream', () => {
  it('is not delayed by CRLF, and a character cut in two arrives whole', async () => {
    const sent = gateway.chat({ stream: true })
    upstream.answer = (request) => request.streamHead()
    const request = await upstream.request()
    const bytes = Buffer.from(`data: ${JSON.stringify(delta('hé'))}\r\n\r\n`)
    const cut = bytes.indexOf(Buffer.from('é')) + 1
    request.chunk(bytes.subarray(0, cut))
    request.chunk(bytes.subarray(cut))
    await eventually(() => sent.body.includes('hé'), 'the first event')
    request.chunk('data: second\r\n\r\n')
    await eventually(() => sent.body.includes('second'), 'the second event')
    request.chunk('data: [DONE]\r\n\r\n')
    const answer = await sent.answer()
    expect(answer.whole).toBe(true)
    expect(answer.body).toBe(`${bytes}data: second\r\n\r\ndata: [DONE]\r\n\r\n`)
  })

  it('says that nobody may hold or change it', async () => {
    upstream.answer = (request) => {
      request.streamHead()
      request.event(delta('a'))
      request.event(finish('stop'))
      request.event('[DONE]')
      request.endStream()
    }
    const { headers } = await gateway.chat({ stream: true }).answer()
    expect(headers['content-type']).toBe('text/event-stream; charset=utf-8')
    expect(headers['cache-control']).toBe('no-cache, no-transform')
    expect(headers['x-accel-buffering']).toBe('no')
    expect(headers['content-length']).toBeUndefined()
  })

  it('reaches an HTTP/1.0 client without chunks', async () => {
    upstream.answer = (request) => {
      request.streamHead()
      request.event(delta('a'))
      request.event('[DONE]')
      request.endStream()
    }
    const socket = gateway.rawSocket()
    let answer = ''
    let ended = false
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    socket.on('end', () => {
      ended = true
    })
    const body = '{"model":"tiny","stream":true}'
    socket.write(
      `POST /v1/chat/completions HTTP/1.0\r\nx-api-key: ${gateway.user.text}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    await eventually(() => ended, 'end')
    expect(answer.split('\r\n\r\n')[1]).toBe(
      `data: ${JSON.stringify(delta('a'))}\n\ndata: [DONE]\n\n`.split('\r\n\r\n')[0],
    )
  })

  it('keeps the order of answers on a connection with requests sent ahead', async () => {
    upstream.answer = (request) => {
      request.streamHead()
      request.event(delta(`for ${upstream.requests.length}`))
      request.event('[DONE]')
      request.endStream()
    }
    const socket = gateway.rawSocket()
    let answer = ''
    socket.on('data', (bytes) => {
      answer += bytes.toString()
    })
    const body = '{"model":"tiny","stream":true}'
    const request = `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: ${gateway.user.text}\r\ncontent-length: ${body.length}\r\n\r\n${body}`
    socket.write(request + request)
    await eventually(() => answer.split('0\r\n\r\n').length === 3, 'both answers')
    const parts = answer.split('HTTP/1.1 200 OK')
    expect(parts).toHaveLength(3)
    expect(parts[1]).toContain('[DONE]')
    expect(parts[2]).toContain('[DONE]')
    socket.destroy()
  })
})

describe('the queue', () => {
  it('holds a request until a replica comes', async () => {
    gateway.show({ endpoints: [] })
    const sent = gateway.chat()
    await eventually(() => gateway.gateway.stats().queued === 1, 'queued')
    gateway.show({ endpoints: [endpointAt(upstream.port)] })
    expect((await sent.answer()).status).toBe(200)
    expect(gateway.gateway.stats().queued).toBe(0)
  })

  it('answers 503 model_loading when none came in time', async () => {
    gateway.show({ endpoints: [] })
    const sent = gateway.chat()
    await eventually(() => gateway.gateway.stats().queued === 1, 'queued')
    await gateway.clock.advance(30_100)
    const answer = await sent.answer()
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.body).error.code).toBe('model_loading')
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(0)
    expect(gateway.requestLines[0]).toMatchObject({ status: 503, attempts: 0 })
  })

  it('waits less for a model that was unloaded, and as little as the client asks', async () => {
    gateway.show({
      endpoints: [],
      models: [{ name: 'tiny', createdAtMs: 0, adapters: [], phase: 'stopped' }],
    })
    const unloaded = gateway.chat()
    await eventually(() => gateway.gateway.stats().queued === 1, 'queued')
    await gateway.clock.advance(1_100)
    expect((await unloaded.answer()).status).toBe(503)
    gateway.show({ models: [{ name: 'tiny', createdAtMs: 0, adapters: [], phase: 'progressing' }] })
    const hasty = gateway.chat({}, { 'x-request-timeout-ms': '500' })
    await eventually(() => gateway.gateway.stats().queued === 1, 'queued')
    await gateway.clock.advance(600)
    expect((await hasty.answer()).status).toBe(503)
  })

  it('refuses when it is full', async () => {
    gateway.show({ endpoints: [] })
    const waiting = [gateway.chat(), gateway.chat()]
    await eventually(() => gateway.gateway.stats().queued === 2, 'queued')
    const answer = await gateway.chat().answer()
    expect(answer.status).toBe(503)
    expect(JSON.parse(answer.body).error.code).toBe('overloaded')
    for (const sent of waiting) sent.leave()
  })

  it('lets requests go in the order they came when a replica becomes free', async () => {
    upstream.answer = () => {}
    gateway.show({ endpoints: [endpointAt(upstream.port, { maxConcurrency: 1 })] })
    // A replica takes twice what it serves at once; the rest waits here.
    const busy = [gateway.chat({ user: 'a' }), gateway.chat({ user: 'b' })]
    await eventually(() => upstream.requests.length === 2, 'two at the engine')
    const third = gateway.chat({ user: 'c' })
    await eventually(() => gateway.gateway.stats().queued === 1, 'queued')
    const fourth = gateway.chat({ user: 'd' })
    await eventually(() => gateway.gateway.stats().queued === 2, 'queued')
    upstream.requests[0]?.json(200, CHAT_ANSWER)
    expect((await upstream.request(3)).body.toString()).toContain('"user":"c"')
    upstream.requests[1]?.json(200, CHAT_ANSWER)
    expect((await upstream.request(4)).body.toString()).toContain('"user":"d"')
    for (const request of upstream.requests.slice(2)) request.json(200, CHAT_ANSWER)
    for (const sent of [...busy, third, fourth]) expect((await sent.answer()).status).toBe(200)
  })
})

describe('draining', () => {
  it('fails readiness first, then takes nothing new, and lets streams finish', async () => {
    upstream.answer = (request) => {
      request.streamHead()
      request.event(delta('a'))
    }
    const sent = gateway.chat({ stream: true })
    await eventually(() => sent.body.length > 0, 'first output')
    const drained = gateway.gateway.drain({ graceMs: 5_000, deadlineMs: 60_000 })
    expect((await gateway.get('/readyz').answer()).status).toBe(503)
    expect((await gateway.get('/v1/models').answer()).status).toBe(200)
    await gateway.clock.advance(5_000)
    expect(await gateway.chat().answer()).toMatchObject({ status: 0, whole: false })
    const request = await upstream.request()
    request.event('[DONE]')
    request.endStream()
    expect((await sent.answer()).whole).toBe(true)
    await drained
  })

  it('ends what is left at the deadline with an error', async () => {
    upstream.answer = (request) => {
      if (upstream.requests.length > 1) return
      request.streamHead()
      request.event(delta('a'))
    }
    const streaming = gateway.chat({ stream: true })
    await eventually(() => streaming.body.length > 0, 'first output')
    const waiting = gateway.chat()
    await upstream.request(2)
    const drained = gateway.gateway.drain({ graceMs: 0, deadlineMs: 1_000 })
    await gateway.clock.advance(1_100)
    await drained
    const cut = await streaming.answer()
    expect(cut.whole).toBe(false)
    expect(cut.body).toContain('"code":"upstream_error"')
    expect((await waiting.answer()).status).toBe(503)
    await eventually(() => upstream.sockets.size === 0, 'engines are let go')
  })
})
