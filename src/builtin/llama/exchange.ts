import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../base/clock.ts'
import { errorText } from '../../base/errors.ts'
import { isObject, type JsonObject } from './fields.ts'
import { errorBody, type Refusal, refusal } from './refusal.ts'

/** Longest body that is read. A prompt of a million tokens is about 4 MiB. */
export const MOST_BODY_BYTES = 16 * 1024 * 1024

/** Why a request's work ends early; the reason of its signal. */
export type AbortReason = 'client_left' | 'shutting_down'

/** One request and its answer. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly id: string
  readonly arrivedMs: number
  /** Aborts when the client leaves, in whatever phase, or when the engine must end. */
  readonly signal: AbortSignal
}

/** The body as a JSON object. `gone` when the client left while sending it. */
export async function readJson(
  request: IncomingMessage,
): Promise<{ kind: 'ok'; body: JsonObject } | Refusal | { kind: 'gone' }> {
  const bytes = await readBody(request)
  if ('kind' in bytes) return bytes
  let body: unknown
  try {
    body = JSON.parse(bytes.toString('utf8'))
  } catch (error) {
    return refusal(400, 'invalid_json', `the body is not valid JSON: ${errorText(error)}`)
  }
  if (!isObject(body)) return refusal(400, 'invalid_json', 'the body must be a JSON object')
  return { kind: 'ok', body }
}

async function readBody(request: IncomingMessage): Promise<Buffer | Refusal | { kind: 'gone' }> {
  const tooLarge = refusal(413, 'request_too_large', `the body is longer than ${MOST_BODY_BYTES} bytes`)
  if (Number(request.headers['content-length'] ?? 0) > MOST_BODY_BYTES) return tooLarge
  const chunks: Buffer[] = []
  let length = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > MOST_BODY_BYTES) return tooLarge
      chunks.push(chunk)
    }
  } catch {
    return { kind: 'gone' }
  }
  return Buffer.concat(chunks, length)
}

export function sendJson(
  exchange: Exchange,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(exchange, status, 'application/json', JSON.stringify(body), headers)
}

export function sendText(exchange: Exchange, status: number, text: string, contentType = 'text/plain'): void {
  send(exchange, status, `${contentType}; charset=utf-8`, text, {})
}

export function sendRefusal(exchange: Exchange, refused: Refusal): void {
  const retryAfter: Record<string, string> =
    refused.retryAfterSeconds === undefined ? {} : { 'retry-after': String(refused.retryAfterSeconds) }
  // The rest of a body that was not read would be taken for the next request.
  const close: Record<string, string> = exchange.request.complete ? {} : { connection: 'close' }
  sendJson(exchange, refused.status, errorBody(refused), { ...retryAfter, ...close })
}

function send(
  { response, id }: Exchange,
  status: number,
  contentType: string,
  text: string,
  headers: Readonly<Record<string, string>>,
): void {
  if (response.destroyed || response.headersSent) return
  response.writeHead(status, {
    ...headers,
    'content-type': contentType,
    'content-length': Buffer.byteLength(text),
    'x-request-id': id,
  })
  response.end(text)
}

/** Time that a client may leave its answer unread before it is hung up on. */
const STALL_LIMIT_MS = 60_000

/** Resolves when the client took what was written (`drain`), or all of it (`finish`), or is gone. */
export function untilEvent(response: ServerResponse, event: 'drain' | 'finish', clock: Clock): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      timer.cancel()
      response.off(event, end)
      response.off('close', end)
      resolve()
    }
    const timer = clock.after(STALL_LIMIT_MS, () => response.destroy())
    response.on(event, end)
    response.on('close', end)
  })
}
