import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CHAT_ANSWER, delta, FakeUpstream, finish, roleDelta } from './fake-upstream.testing.ts'
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

describe('an answer in one piece', () => {
  it('comes back byte for byte, with our headers and none of the engine', async () => {
    const answer = await gateway.chat().answer()
    expect(answer.status).toBe(200)
    expect(answer.body).toBe(JSON.stringify(CHAT_ANSWER))
    expect(answer.headers['content-type']).toBe('application/json')
    expect(answer.headers['x-yard-replica']).toBe(`tiny-${upstream.port}`)
    expect(answer.headers['x-yard-attempts']).toBe('1')
    expect(answer.headers['x-request-id']).toMatch(/^req_[0-9a-f]{24}$/)
    expect(answer.headers.server).toBeUndefined()
  })
})

describe('a stream', () => {
  it('passes with every byte and ends with [DONE]', async () => {
    upstream.answer = (request) => {
      request.streamHead()
      request.event(roleDelta)
      request.event(delta('héllo'))
      request.event(finish('stop'))
      request.event('[DONE]')
      request.endStream()
    }
    const answer = await gateway.chat({ stream: true }).answer()
    expect(answer.whole).toBe(true)
    const events = [roleDelta, delta('héllo'), finish('stop')].map((each) => JSON.stringify(each))
    expect(answer.body).toBe([...events, '[DONE]'].map((each) => `data: ${each}\n\n`).join(''))
  })
})
