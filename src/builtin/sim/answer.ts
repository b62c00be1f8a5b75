import type { Clock } from '../../base/clock.ts'
import type { ChoiceDelta, ChoiceResult, Dialect, Usage } from './dialects.ts'
import { type ApiError, errorBody, type Reply, sendError } from './exchange.ts'
import type { RequestFaults } from './faults.ts'
import { createOutlet, pushBody } from './outlet.ts'

/** One answer on its way to the client, streamed or whole. */
export interface Answer {
  /** The engine took the request. A stream sends its head now, before the first token, as vLLM does. */
  start(): void
  /** `tokens`: output of all choices so far, with this. */
  delta(delta: ChoiceDelta, tokens: number): void
  finish(usage: Usage): void
  /** The engine failed: an event and `[DONE]` on a stream (still HTTP 200), else a real status. */
  fail(error: ApiError): void
  /** Breaks the connection: a stream now, a whole body in its middle, or before it when `tokens` is 0. */
  cut(tokens: number): void
  flush(): void
}

export interface AnswerOptions {
  readonly dialect: Dialect
  readonly reply: Reply
  readonly faults: RequestFaults
  readonly clock: Pick<Clock, 'after'>
  readonly headers: Readonly<Record<string, string>>
  readonly choices: number
  readonly includeUsage: boolean
}

export function streamedAnswer(options: AnswerOptions): Answer {
  const { dialect, reply, faults } = options
  const outlet = createOutlet(reply, faults, options.clock)
  let opened = false
  let sent = 0
  const event = (json: string) => outlet.push(`data: ${json}\n\n`, sent)

  return {
    start: () => reply.head(200, { ...EVENT_STREAM, ...options.headers }),
    delta(delta, tokens) {
      if (!opened) {
        opened = true
        for (let index = 0; index < options.choices; index++) {
          const opening = dialect.opening(index, delta.usage && { ...delta.usage, outputTokens: 0 })
          if (opening !== undefined) event(opening)
        }
      }
      sent = tokens
      event(dialect.chunk(delta))
    },
    finish(usage) {
      if (options.includeUsage) event(dialect.closing(usage))
      if (!faults.has('no_done')) outlet.push(DONE, sent)
      outlet.end()
    },
    fail(error) {
      event(JSON.stringify(errorBody(error)))
      outlet.push(DONE, sent)
      outlet.end()
    },
    cut() {
      outlet.flush()
      reply.cut()
    },
    flush: outlet.flush,
  }
}

export function wholeAnswer(options: AnswerOptions): Answer {
  const { dialect, reply, headers } = options
  const results = Array.from({ length: options.choices }, (_, index) => emptyResult(index))
  const ids = results.map((): number[] => [])
  let cutsBody = false

  return {
    start: () => {},
    delta({ index, text, finish, stopReason, tokenIds }) {
      const result = results[index]
      if (result === undefined) return
      result.text += text
      if (tokenIds) ids[index]?.push(...tokenIds)
      if (finish === undefined) return
      result.finish = finish
      result.stopReason = stopReason
      if (tokenIds) result.tokenIds = ids[index]
    },
    finish(usage) {
      sendBody(dialect.whole(results, usage), { ...options, cutsBody })
    },
    fail: (error) => sendError(reply, error, headers),
    cut(tokens) {
      if (tokens === 0) reply.cut()
      else cutsBody = true
    },
    flush: () => {},
  }
}

type Mutable<Value> = { -readonly [field in keyof Value]: Value[field] }

function emptyResult(index: number): Mutable<ChoiceResult> {
  return { index, text: '', finish: 'abort', stopReason: undefined, tokenIds: undefined }
}

/** Sends a JSON body, whole, broken in the middle, or as the request's faults let it through. */
export function sendBody(
  json: string,
  {
    reply,
    faults,
    clock,
    headers,
    cutsBody,
  }: Pick<AnswerOptions, 'reply' | 'faults' | 'clock' | 'headers'> & { cutsBody: boolean },
): void {
  const length = String(Buffer.byteLength(json))
  reply.head(200, { 'content-type': 'application/json', 'content-length': length, ...headers })
  if (cutsBody) {
    reply.write(json.slice(0, json.length / 2))
    reply.cut()
  } else if (faults.size === 0) reply.end(json)
  else {
    const outlet = createOutlet(reply, faults, clock)
    pushBody(outlet, json)
    outlet.end()
  }
}

const EVENT_STREAM = { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' }
const DONE = 'data: [DONE]\n\n'
