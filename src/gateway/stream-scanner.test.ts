import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { delta, finish, roleDelta } from './fake-upstream.testing.ts'
import { StreamScanner } from './stream-scanner.ts'

const bytes = (text: string) => Buffer.from(text).toString('latin1')
const event = (data: unknown, end = '\n') =>
  bytes(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}${end}${end}`)

/** Scans the pieces; what may go on, and the scanner after. */
function scanAll(pieces: readonly string[]): { passed: string; scanner: StreamScanner } {
  const scanner = new StreamScanner()
  let passed = ''
  for (const piece of pieces) {
    passed += piece.slice(0, scanner.scan(piece))
    if (scanner.end !== undefined) break
  }
  if (scanner.end === undefined) scanner.finish()
  return { passed, scanner }
}

const USAGE_ONLY = { usage: { prompt_tokens: 4, completion_tokens: 9 } }
const USAGE = { choices: [], ...USAGE_ONLY }

describe('scanning a stream', () => {
  it('sees no output in roles, empty deltas, comments and usage', () => {
    const empty = { choices: [{ index: 0, delta: { content: null, tool_calls: [] }, finish_reason: null }] }
    const { scanner } = scanAll([': ping\n\n', event(roleDelta), event(empty), event(USAGE)])
    expect(scanner.outputSeen).toBe(false)
    expect(scanner.usage).toEqual({ promptTokens: 4, completionTokens: 9 })
  })

  it.each([
    ['text', delta('a')],
    ['reasoning', { choices: [{ delta: { reasoning_content: 'hm' } }] }],
    ['a tool call', { choices: [{ delta: { tool_calls: [{ index: 0 }] } }] }],
    ['the text of a completion', { choices: [{ text: 'a', finish_reason: null }] }],
    ['a reason to finish', finish('length')],
    ['something unknown', { kind: 'progress' }],
    ['no JSON', 'hello'],
  ])('takes %s for output', (_, data) => {
    expect(scanAll([event(roleDelta), event(data)]).scanner.outputSeen).toBe(true)
  })

  it('is not misled by what the model says', () => {
    const text = '"error": "usage":{ "finish_reason":"abort" data: [DONE]\n\ndata: {"error":{}}'
    const { scanner } = scanAll([event(delta('a')), event(delta(text)), event(delta(JSON.stringify(text)))])
    expect(scanner.end).toBeUndefined()
    expect(scanner.finishes).toBe(0)
  })

  it('finds usage and ends after the output', () => {
    const { scanner } = scanAll([event(delta('a')), event(finish('stop')), event(USAGE), event('[DONE]')])
    expect(scanner).toMatchObject({
      finishes: 1,
      usage: { promptTokens: 4, completionTokens: 9 },
      end: { kind: 'done' },
    })
  })

  it('finds usage in an event whose text ends in the same word', () => {
    const { scanner } = scanAll([event(delta('a')), event({ ...delta('memory usage'), ...USAGE_ONLY })])
    expect(scanner.usage).toEqual({ promptTokens: 4, completionTokens: 9 })
  })

  it('lets an error event through and nothing after it', () => {
    const error = event({ error: { message: 'out of memory', code: 500 } })
    const { passed, scanner } = scanAll([event(delta('a')), error + event('[DONE]')])
    expect(passed).toBe(event(delta('a')) + error)
    expect(scanner.end).toMatchObject({ kind: 'error', status: 500 })
  })

  it('stops before an event that says abort', () => {
    const { passed, scanner } = scanAll([event(delta('a')) + event(delta('b')) + event(finish('abort'))])
    expect(passed).toBe(event(delta('a')) + event(delta('b')))
    expect(scanner.end).toEqual({ kind: 'aborted' })
  })

  it('takes a [DONE] that the server did not terminate', () => {
    expect(scanAll([event(delta('a')), 'data: [DONE]']).scanner.end).toEqual({ kind: 'done' })
  })

  it('does not keep a line of megabytes', () => {
    const { scanner } = scanAll([
      `data: {"choices":[{"delta":{"content":"${'x'.repeat(3_000_000)}`,
      '"}}]}\n\n',
      event('[DONE]'),
    ])
    expect(scanner.outputSeen).toBe(true)
    expect(scanner.end).toEqual({ kind: 'done' })
  })

  it('comes to the same with every line end and every way to cut the bytes', () => {
    const events = fc.array(
      fc.constantFrom<unknown>(roleDelta, delta('é"\n'), finish('stop'), USAGE, '[DONE]', finish('abort'), {
        error: { code: 429 },
      }),
      { minLength: 1, maxLength: 6 },
    )
    fc.assert(
      fc.property(
        events,
        fc.constantFrom('\n', '\r\n', '\r'),
        fc.array(fc.nat(), { maxLength: 12 }),
        (list, end, cuts) => {
          const text = `: hi${end}${end}${list.map((each) => event(each, end)).join('')}`
          const places = [...new Set(cuts.map((cut) => cut % text.length))].sort((a, b) => a - b)
          const pieces = [0, ...places].map((from, index) => text.slice(from, places[index] ?? text.length))
          const whole = scanAll([text])
          const cut = scanAll(pieces)
          expect(cut.scanner.end).toEqual(whole.scanner.end)
          expect(cut.scanner.outputSeen).toBe(whole.scanner.outputSeen)
          expect(cut.scanner.usage).toEqual(whole.scanner.usage)
          expect(cut.scanner.finishes).toBe(whole.scanner.finishes)
          expect(text.startsWith(cut.passed)).toBe(true)
          // Cut or not, everything up to the end of the stream passes; an aborted event only when it was cut.
          if (whole.scanner.end?.kind !== 'aborted') expect(cut.passed.trimEnd()).toBe(whole.passed.trimEnd())
          else expect(cut.passed.startsWith(whole.passed.trimEnd())).toBe(true)
        },
      ),
      { numRuns: 1000 },
    )
  })
})
