import { connect, createServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from './eventually.testing.ts'
import { CHAT_ANSWER, delta, FakeUpstream, finish, roleDelta } from './fake-upstream.testing.ts'
import { endpointAt, TestGateway } from './gateway.testing.ts'

let first: FakeUpstream
let second: FakeUpstream
let gateway: TestGateway

beforeEach(async () => {
  first = await FakeUpstream.start()
  second = await FakeUpstream.start()
  gateway = await TestGateway.start()
})
afterEach(async () => {
  await gateway.close()
  await first.close()
  await second.close()
})

const event = (data: unknown) => `data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`
const GOOD = [roleDelta, delta('a'), finish('stop'), '[DONE]']
const streamGood = (upstream: FakeUpstream) => {
  upstream.answer = (request) => {
    request.streamHead()
    for (const each of GOOD) request.event(each)
    request.endStream()
  }
}
const goodText = GOOD.map(event).join('')

/** `first` is asked first: it was used longest ago, so never. */
const showBoth = () =>
  gateway.show({
    endpoints: [
      endpointAt(first.port, { replica: 'first' }),
      endpointAt(second.port, { replica: 'second', maxConcurrency: 100 }),
    ],
  })

/** A port that refuses connections. */
async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  await new Promise<void>((resolve) => server.close(() => resolve()))
  return port
}

/** Sends until the faulty replica `first` was asked, so that the order of equals does not matter. */
async function askFirst(body: Record<string, unknown>) {
  for (;;) {
    const before = first.requests.length
    const answer = await gateway.chat(body).answer()
    if (first.requests.length > before) return answer
  }
}

describe('before the first output', () => {
  it('a replica that refuses the connection is replaced by another, unseen', async () => {
    const port = await closedPort()
    gateway.show({
      endpoints: [endpointAt(port, { replica: 'gone' }), endpointAt(second.port, { replica: 'second' })],
    })
    const answers = []
    for (let count = 0; count < 5; count++) answers.push(await gateway.chat().answer())
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200])
    expect(answers.map(({ headers }) => headers['x-yard-attempts'])).toContain('2')
    // After two refusals the breaker spares it.
    expect(answers.at(-1)?.headers['x-yard-attempts']).toBe('1')
    expect(new Set(answers.map(({ headers }) => headers['x-yard-replica']))).toEqual(new Set(['second']))
  })

  it('when all refuse, the answer is 503 with a short Retry-After', async () => {
    gateway.show({ endpoints: [endpointAt(await closedPort()), endpointAt(await closedPort())] })
    const answer = await gateway.chat().answer()
    expect(answer.status).toBe(503)
    expect(Number(answer.headers['retry-after'])).toBeLessThanOrEqual(60)
    expect(answer.headers['x-should-retry']).toBe('true')
    expect(JSON.parse(answer.body).error).toMatchObject({
      type: 'server_error',
      code: 'overloaded',
      param: null,
    })
  })

  it.each<[string, FakeUpstream['answer']]>([
    ['hangs up without a byte', (request) => request.die()],
    ['resets the connection', (request) => request.reset()],
    [
      'dies after its head',
      (request) => {
        request.streamHead()
        setImmediate(() => request.die())
      },
    ],
    [
      'dies after the role',
      (request) => {
        request.streamHead()
        request.event(roleDelta)
        setImmediate(() => request.die())
      },
    ],
    [
      'ends the stream before any output',
      (request) => {
        request.streamHead()
        request.event(roleDelta)
        request.endStream()
      },
    ],
    [
      'says error 500 as its first event',
      (request) => {
        request.streamHead()
        request.event({ error: { message: 'engine died', type: 'InternalServerError', code: 500 } })
        request.event('[DONE]')
        request.endStream()
      },
    ],
    [
      'aborts before any output',
      (request) => {
        request.streamHead()
        request.event(roleDelta)
        request.event(finish('abort'))
        request.event('[DONE]')
        request.endStream()
      },
    ],
    ['answers 500', (request) => request.json(500, { error: { message: 'x' } })],
    ['answers 503', (request) => request.json(503, { error: { message: 'Loading model' } })],
    ['answers 429', (request) => request.json(429, { error: { message: 'busy' } })],
    ['speaks no HTTP', (request) => request.raw('hello\r\n\r\n')],
    ['answers with a redirect', (request) => request.json(302, {}, 'location: /x\r\n')],
    [
      'answers with a page',
      (request) =>
        request.raw('HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>'),
    ],
  ])('a replica that %s is replaced, and exactly one whole stream arrives', async (_, fault) => {
    showBoth()
    first.answer = fault
    streamGood(second)
    const answer = await askFirst({ stream: true })
    expect(answer).toMatchObject({ status: 200, whole: true, body: goodText })
    expect(answer.headers['x-yard-attempts']).toBe('2')
    expect(answer.headers['x-yard-replica']).toBe('second')
  })

  it('a replica to which no connection comes about in time is replaced', async () => {
    const other = await TestGateway.start({
      endpoints: [endpointAt(1, { replica: 'far' }), endpointAt(second.port, { replica: 'second' })],
      // A name whose address never comes.
      connect: (to) =>
        'port' in to && to.port === 1 ? connect({ ...to, host: 'far', lookup: () => {} }) : connect(to),
    })
    const answers = [other.chat(), other.chat()]
    await eventually(() => second.requests.length === 1, 'the one that was near')
    await other.clock.advance(3_100)
    for (const sent of answers) expect((await sent.answer()).status).toBe(200)
    // The far one was given up.
    expect(other.gateway.stats().openConnections).toBe(1)
    await other.close()
  })

  it('the third try waits a little, so that a fault of all is not met at once by all', async () => {
    const third = await FakeUpstream.start()
    const all = [first, second, third]
    for (const upstream of all) upstream.answer = (request) => request.json(503, {})
    gateway.show({ endpoints: all.map(({ port }) => endpointAt(port)) })
    const sent = gateway.chat()
    const asked = () => all.reduce((sum, { requests }) => sum + requests.length, 0)
    await eventually(() => asked() === 2, 'two tries')
    await eventually(
      () => gateway.gateway.stats().replicas.every(({ inFlight }) => inFlight === 0),
      'both ended',
    )
    expect(asked()).toBe(2)
    await gateway.clock.advance(100)
    expect((await sent.answer()).headers['x-yard-attempts']).toBe('3')
    expect(asked()).toBe(3)
    await third.close()
  })

  it('an answer in one piece that breaks off in the middle is asked for elsewhere', async () => {
    showBoth()
    first.answer = (request) => {
      request.raw(
        'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"id":"half',
      )
      setImmediate(() => request.die())
    }
    expect(await askFirst({})).toMatchObject({ status: 200, body: JSON.stringify(CHAT_ANSWER) })
  })

  it('an answer in one piece that was aborted is asked for elsewhere', async () => {
    showBoth()
    first.answer = (request) => request.json(200, { choices: [{ message: {}, finish_reason: 'abort' }] })
    expect(await askFirst({})).toMatchObject({ status: 200, body: JSON.stringify(CHAT_ANSWER) })
  })

  it('a first event that blames the request becomes that status and is not retried', async () => {
    showBoth()
    const blame = (upstream: FakeUpstream) => {
      upstream.answer = (request) => {
        request.streamHead()
        request.event({
          error: {
            message: "This model's maximum context length is 10 tokens",
            type: 'BadRequestError',
            code: 400,
          },
        })
        request.event('[DONE]')
        request.endStream()
      }
    }
    blame(first)
    blame(second)
    const answer = await gateway.chat({ stream: true }).answer()
    expect(answer.status).toBe(400)
    expect(JSON.parse(answer.body).error).toMatchObject({
      code: 'context_length_exceeded',
      type: 'invalid_request_error',
    })
    expect(answer.headers['x-should-retry']).toBe('false')
    expect(first.requests.length + second.requests.length).toBe(1)
  })

  it('an error of the client passes with the words of the engine and is not retried', async () => {
    showBoth()
    for (const upstream of [first, second]) {
      upstream.answer = (request) =>
        request.json(422, {
          error: {
            message: 'temperature “hot” is no number',
            type: 'invalid_request_error',
            param: 'temperature',
            code: 422,
          },
        })
    }
    const answer = await gateway.chat().answer()
    expect(answer.status).toBe(422)
    expect(JSON.parse(answer.body)).toEqual({
      error: {
        message: 'temperature “hot” is no number',
        type: 'invalid_request_error',
        param: 'temperature',
        code: null,
      },
    })
    expect(answer.headers['x-yard-error-source']).toBe('engine')
    expect(first.requests.length + second.requests.length).toBe(1)
  })

  it('nothing of an engine fault is told but that, and the client is told not to retry', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    first.answer = (request) => request.json(500, { error: { message: 'Traceback /opt/secret/path' } })
    const answer = await gateway.chat().answer()
    expect(answer.status).toBe(502)
    expect(answer.body).not.toContain('secret')
    expect(JSON.parse(answer.body).error.code).toBe('upstream_error')
    expect(answer.headers['x-should-retry']).toBe('false')
  })

  it('an engine that refuses our credential is not blamed on the client', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    first.answer = (request) => request.json(401, { error: 'Unauthorized' })
    expect((await gateway.chat().answer()).status).toBe(502)
  })

  it('a replica that refuses our credential is replaced by another, unseen', async () => {
    showBoth()
    first.answer = (request) => request.json(401, { error: 'Unauthorized' })
    const answer = await askFirst({})
    expect(answer.status).toBe(200)
    expect(answer.headers['x-yard-replica']).toBe('second')
  })

  it('a busy engine becomes 503 with its own Retry-After, at most a minute', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    first.answer = (request) => request.json(429, { error: { message: 'busy' } }, 'retry-after: 600\r\n')
    const answer = await gateway.chat().answer()
    expect(answer.status).toBe(503)
    expect(answer.headers['retry-after']).toBe('60')
  })

  it('no output in time is 504, asked for nowhere else, and the engine is let go', async () => {
    showBoth()
    let closed = false
    for (const upstream of [first, second]) {
      upstream.answer = (request) => {
        request.streamHead()
        request.event(roleDelta)
        request.socket.on('close', () => {
          closed = true
        })
      }
    }
    const sent = gateway.chat({ stream: true })
    await eventually(() => first.requests.length + second.requests.length === 1, 'request')
    await gateway.clock.advance(600_100)
    const answer = await sent.answer()
    expect(answer.status).toBe(504)
    expect(JSON.parse(answer.body).error.code).toBe('upstream_timeout')
    await eventually(() => closed, 'upstream closed')
    expect(first.requests.length + second.requests.length).toBe(1)
  })

  it('the client may ask for less patience', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    first.answer = () => {}
    const sent = gateway.chat({}, { 'x-request-timeout-ms': '2000' })
    await first.request()
    await gateway.clock.advance(2_100)
    expect((await sent.answer()).status).toBe(504)
  })

  it('comments and empty events are held back until they are too many', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    first.answer = (request) => {
      request.streamHead()
      for (let count = 0; count < 70; count++) request.event(roleDelta)
    }
    const sent = gateway.chat({ stream: true })
    await eventually(() => sent.body.length > 0, 'the head of the stream was let go')
    expect(sent.status).toBe(200)
  })

  it('retries are a bounded share of the requests', async () => {
    showBoth()
    for (const upstream of [first, second]) upstream.answer = (request) => request.json(503, {})
    for (let count = 0; count < 20; count++) await gateway.chat().answer()
    // Ten retries are free, and a fifth of twenty is less.
    expect(first.requests.length + second.requests.length).toBe(30)
  })
})

/** A stream of which the client has the first half. */
async function half() {
  gateway.show({ endpoints: [endpointAt(first.port)] })
  first.answer = (request) => {
    request.streamHead()
    request.event(delta('half'))
  }
  const sent = gateway.chat({ stream: true })
  const request = await first.request()
  await eventually(() => sent.body.includes('half'), 'the first half')
  return { request, sent }
}

describe('after the first output', () => {
  it.each<[string, FakeUpstream['answer']]>([
    ['dies', (request) => request.die()],
    ['resets', (request) => request.reset()],
    ['ends without [DONE] or a reason', (request) => request.endStream()],
    ['breaks the chunk framing', (request) => request.raw('zz\r\n')],
  ])(
    'a replica that %s leaves an error event and a cut connection, and nobody else is asked',
    async (_, fault) => {
      showBoth()
      for (const upstream of [first, second]) {
        upstream.answer = (request) => {
          request.streamHead()
          request.event(roleDelta)
          request.event(delta('half'))
          setImmediate(() => fault(request))
        }
      }
      const answer = await gateway.chat({ stream: true }).answer()
      expect(answer.status).toBe(200)
      expect(answer.whole).toBe(false)
      expect(answer.body).not.toContain('[DONE]')
      expect(answer.body.startsWith(event(roleDelta) + event(delta('half')))).toBe(true)
      const last = answer.body.slice((event(roleDelta) + event(delta('half'))).length)
      expect(JSON.parse(last.replace(/^data: /, '')).error).toMatchObject({
        type: 'server_error',
        code: 'upstream_error',
      })
      expect(first.requests.length + second.requests.length).toBe(1)
      expect(gateway.requestLines.at(-1)).toMatchObject({ outcome: 'failed', status: 200 })
    },
  )

  it('a stream whose choices all finished is whole without [DONE]', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    first.answer = (request) => {
      request.streamHead()
      request.event(delta('a'))
      request.event(finish('stop'))
      request.endStream()
    }
    expect(await gateway.chat({ stream: true }).answer()).toMatchObject({
      whole: true,
      body: event(delta('a')) + event(finish('stop')),
    })
  })

  it('an error of the engine in the middle passes as it came, without the [DONE] behind it', async () => {
    const error = { error: { message: 'EngineDeadError', type: 'InternalServerError', code: 500 } }
    const { request, sent } = await half()
    request.event(error)
    request.event('[DONE]')
    request.endStream()
    const answer = await sent.answer()
    expect(answer.whole).toBe(false)
    expect(answer.body).toBe(event(delta('half')) + event(error))
  })

  it('an abort in the middle is an error, not an end', async () => {
    const { request, sent } = await half()
    request.event(finish('abort'))
    request.event('[DONE]')
    request.endStream()
    const answer = await sent.answer()
    expect(answer.whole).toBe(false)
    expect(answer.body).not.toContain('abort"')
    expect(answer.body).not.toContain('[DONE]')
    expect(answer.body).toContain('"code":"upstream_error"')
  })

  it('a stall is ended with an error event, and the engine is let go', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    const { request, sent } = await half()
    let closed = false
    request.socket.on('close', () => {
      closed = true
    })
    await gateway.clock.advance(120_100)
    const answer = await sent.answer()
    expect(answer.whole).toBe(false)
    expect(answer.body).toContain('"code":"upstream_error"')
    await eventually(() => closed, 'upstream closed')
  })

  it('a long stream is not cut while it flows', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    const sent = gateway.chat({ stream: true })
    first.answer = (request) => request.streamHead()
    const request = await first.request()
    for (let minute = 1; minute <= 30; minute++) {
      request.event(delta(`m${minute}`))
      await eventually(() => sent.body.includes(`m${minute}"`), `minute ${minute}`)
      await gateway.clock.advance(60_000)
    }
    request.event('[DONE]')
    request.endStream()
    expect((await sent.answer()).whole).toBe(true)
  })
})

describe('a kept connection', () => {
  it('that the engine closed meanwhile is replaced without counting as a try', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    await gateway.chat().answer()
    first.answer = (request) => {
      if (request.onConnection > 1) request.die()
      else request.json(200, CHAT_ANSWER)
    }
    const answer = await gateway.chat().answer()
    expect(answer.status).toBe(200)
    expect(answer.headers['x-yard-attempts']).toBe('1')
    expect(first.connections).toBe(2)
  })

  it('is used again, and closed when it has been idle for long', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    await gateway.chat().answer()
    await gateway.chat().answer()
    expect(first.connections).toBe(1)
    await gateway.clock.advance(10_000)
    await eventually(() => first.sockets.size === 0, 'idle connection closed')
    expect(gateway.gateway.stats().openConnections).toBe(0)
  })

  it('is used again after a stream whose end came late', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    streamGood(first)
    const good = first.answer
    let end = () => {}
    first.answer = (request) => {
      request.streamHead()
      for (const each of GOOD) request.event(each)
      end = () => request.endStream()
    }
    // The client has its whole answer although the engine has not ended its own.
    expect((await gateway.chat({ stream: true }).answer()).whole).toBe(true)
    end()
    first.answer = good
    await gateway.chat({ stream: true }).answer()
    expect(first.connections).toBe(1)
  })
})

describe('a stream that is over but for its last bytes', () => {
  it('does not keep its connection for ever', async () => {
    gateway.show({ endpoints: [endpointAt(first.port)] })
    first.answer = (request) => {
      request.streamHead()
      for (const each of GOOD) request.event(each)
    }
    expect((await gateway.chat({ stream: true }).answer()).whole).toBe(true)
    expect(gateway.gateway.stats().openConnections).toBe(1)
    await gateway.clock.advance(1_000)
    await eventually(() => first.sockets.size === 0, 'closed')
    expect(gateway.gateway.stats().openConnections).toBe(0)
  })
})

describe('the breaker', () => {
  it('leaves a replica alone that broke its streams, and asks it again later', async () => {
    showBoth()
    first.answer = (request) => {
      request.streamHead()
      request.event(delta('half'))
      setImmediate(() => request.die())
    }
    streamGood(second)
    while (first.requests.length < 5) {
      const sent = gateway.chat({ stream: true })
      await sent.answer()
    }
    expect(gateway.gateway.stats().replicas.find(({ replica }) => replica === 'first')?.ejected).toBe(true)
    for (let count = 0; count < 4; count++) await gateway.chat({ stream: true }).answer()
    expect(first.requests.length).toBe(5)
    streamGood(first)
    await gateway.clock.advance(6_000)
    while (first.requests.length < 6) await gateway.chat({ stream: true }).answer()
    expect(gateway.gateway.stats().replicas.some(({ ejected }) => ejected)).toBe(false)
  })

  it('is not opened by mistakes of clients', async () => {
    showBoth()
    for (const upstream of [first, second])
      upstream.answer = (request) => request.json(400, { error: { message: 'no' } })
    for (let count = 0; count < 20; count++) await gateway.chat().answer()
    expect(gateway.gateway.stats().replicas.some(({ ejected }) => ejected)).toBe(false)
  })
})
