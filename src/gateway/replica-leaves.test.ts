import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { eventually } from './eventually.testing.ts'
import { delta, FakeUpstream, finish } from './fake-upstream.testing.ts'
import { endpointAt, TestGateway } from './gateway.testing.ts'

let silent: FakeUpstream
let other: FakeUpstream
let gateway: TestGateway

beforeEach(async () => {
  silent = await FakeUpstream.start()
  other = await FakeUpstream.start()
  gateway = await TestGateway.start({ endpoints: [endpointAt(silent.port, { replica: 'silent' })] })
})
afterEach(async () => {
  await gateway.close()
  await silent.close()
  await other.close()
})

const silentOne = () => endpointAt(silent.port, { replica: 'silent' })
const otherOne = () => endpointAt(other.port, { replica: 'other' })
const asked = () => eventually(() => silent.requests.length === 1, 'the replica was asked')

describe('a replica that leaves the view', () => {
  it.each([false, true])('before its first output is replaced by another (stream: %s)', async (stream) => {
    silent.answer = () => {}
    if (stream) {
      other.answer = (request) => {
        request.streamHead()
        for (const each of [delta('a'), finish('stop'), '[DONE]']) request.event(each)
        request.endStream()
      }
    }
    const sent = gateway.chat({ stream })
    await asked()
    gateway.show({ endpoints: [otherOne()] })
    const answer = await sent.answer()
    expect(answer.status).toBe(200)
    expect(answer.headers).toMatchObject({ 'x-yard-replica': 'other', 'x-yard-attempts': '2' })
    await eventually(() => silent.sockets.size === 0, 'its connection is closed')
  })

  it('is still waited for when there is no other', async () => {
    silent.answer = () => {}
    const sent = gateway.chat()
    await asked()
    gateway.show({ endpoints: [] })
    gateway.show({ endpoints: [silentOne()] })
    silent.requests[0]?.json(200, { choices: [{ message: { content: 'late' }, finish_reason: 'stop' }] })
    const answer = await sent.answer()
    expect(answer.status).toBe(200)
    expect(answer.headers['x-yard-attempts']).toBe('1')
  })

  it('after its first output is left to finish', async () => {
    silent.answer = (request) => {
      request.streamHead()
      request.event(delta('a'))
    }
    const sent = gateway.chat({ stream: true })
    await eventually(() => sent.body.includes('"a"'), 'the first output')
    gateway.show({ endpoints: [otherOne()] })
    for (const each of [finish('stop'), '[DONE]']) silent.requests[0]?.event(each)
    silent.requests[0]?.endStream()
    expect((await sent.answer()).body).toContain('[DONE]')
    expect(other.requests).toHaveLength(0)
  })

  it('while it drains is still waited for', async () => {
    silent.answer = () => {}
    const sent = gateway.chat()
    await asked()
    gateway.show({ endpoints: [{ ...silentOne(), state: 'draining' }, otherOne()] })
    silent.requests[0]?.json(200, { choices: [{ message: { content: 'b' }, finish_reason: 'stop' }] })
    expect((await sent.answer()).headers['x-yard-replica']).toBe('silent')
  })
})
