import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from './eventually.testing.ts'
import { delta, FakeUpstream, roleDelta } from './fake-upstream.testing.ts'
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

/** The request is accounted once, and nothing of it is left. */
async function expectGone(more: Record<string, unknown> = {}) {
  await eventually(() => gateway.requestLines.length > 0, 'the request is accounted')
  await eventually(() => upstream.sockets.size === 0, 'the upstream sees its connection closed')
  expect(gateway.requestLines).toHaveLength(1)
  expect(gateway.requestLines[0]).toMatchObject({ outcome: 'client_closed', status: 499, ...more })
  const stats = gateway.gateway.stats()
  expect(stats).toMatchObject({ inFlight: 0, queued: 0, openConnections: 0, heldBodyBytes: 0 })
  expect(stats.replicas.every(({ inFlight, ejected }) => inFlight === 0 && !ejected)).toBe(true)
}

describe('a client that leaves', () => {
  it('while it still sends its body reaches no engine', async () => {
    const socket = gateway.rawSocket()
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"model":`,
    )
    await eventually(() => gateway.gateway.stats().inFlight === 1, 'the head arrived')
    socket.destroy()
    await expectGone({ attempts: 0 })
    expect(upstream.requests).toHaveLength(0)
  })

  it('while it waits for a replica reaches no engine', async () => {
    gateway.show({ endpoints: [] })
    const sent = gateway.chat()
    await eventually(() => gateway.gateway.stats().queued === 1, 'queued')
    sent.leave()
    await expectGone({ attempts: 0 })
    gateway.show({ endpoints: [endpointAt(upstream.port)] })
    expect(upstream.requests).toHaveLength(0)
  })

  it('before the head of the answer closes the upstream', async () => {
    upstream.answer = () => {}
    const sent = gateway.chat()
    await upstream.request()
    sent.leave()
    await expectGone({ attempts: 1 })
  })

  it('before the head of a stream closes the upstream', async () => {
    upstream.answer = () => {}
    const sent = gateway.chat({ stream: true })
    await upstream.request()
    sent.leave()
    await expectGone({ attempts: 1, stream: true })
  })

  it('between the head and the first output closes the upstream', async () => {
    upstream.answer = (request) => {
      request.streamHead()
      request.event(roleDelta)
    }
    const sent = gateway.chat({ stream: true })
    await upstream.request()
    sent.leave()
    await expectGone()
  })

  it('in the middle of a stream closes the upstream', async () => {
    upstream.answer = (request) => {
      request.streamHead()
      request.event(delta('a'))
    }
    const sent = gateway.chat({ stream: true })
    await eventually(() => sent.body.length > 0, 'first output')
    sent.leave()
    await expectGone()
  })

  it('in the middle of an answer in one piece closes the upstream', async () => {
    upstream.answer = (request) =>
      request.raw('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{"id":')
    const sent = gateway.chat()
    await upstream.request()
    sent.leave()
    await expectGone()
  })

  it('in the middle of a large answer closes the upstream', async () => {
    upstream.answer = (request) =>
      request.raw(
        `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 9000000\r\n\r\n{"data":"${'x'.repeat(400_000)}`,
      )
    const sent = gateway.post('/v1/embeddings', { model: 'tiny', input: 'x' })
    await eventually(() => sent.body.length > 0, 'first bytes')
    sent.leave()
    await expectGone()
  })

  it('on completions too', async () => {
    upstream.answer = () => {}
    const sent = gateway.post('/v1/completions', { model: 'tiny', prompt: 'x', stream: true })
    await upstream.request()
    sent.leave()
    await expectGone()
  })

  it('while it takes nothing of a stream, closes the upstream', async () => {
    const socket = gateway.rawSocket()
    socket.pause()
    const body = '{"model":"tiny","stream":true}'
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    upstream.answer = (request) => {
      request.streamHead()
      const more = () => {
        while (!request.socket.destroyed && request.socket.writableLength < 4_000_000)
          request.event(delta('x'.repeat(50_000)))
      }
      more()
      request.socket.on('drain', more)
    }
    const request = await upstream.request()
    await eventually(() => request.socket.writableLength > 2_000_000, 'the upstream is held back')
    const line = gateway.requestLines
    expect(line).toHaveLength(0)
    socket.destroy()
    await expectGone()
  })

  it('a client that takes nothing for long is let go', async () => {
    const socket = gateway.rawSocket()
    socket.pause()
    socket.on('error', () => {})
    const body = '{"model":"tiny","stream":true}'
    socket.write(
      `POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${gateway.user.text}\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
    )
    upstream.answer = (request) => {
      request.streamHead()
      for (let count = 0; count < 400; count++) request.event(delta('x'.repeat(50_000)))
    }
    const request = await upstream.request()
    let held = -1
    await eventually(() => {
      const same = held === request.socket.writableLength && held > 0
      held = request.socket.writableLength
      return same
    }, 'the stream is held back')
    await gateway.clock.advance(125_000)
    await expectGone()
    socket.destroy()
  })
})
