import type { HeaderList } from './client-answer.ts'
import { errorBody, type GatewayError } from './gateway-error.ts'

/** Head of an engine's answer: nothing of what it sent but the content type, and what we have to tell. */
export function answerHeaders(of: {
  readonly contentType: string
  readonly requestId: string
  readonly replica: string
  readonly attempts: number
  readonly overheadMs: number
  readonly closing: boolean
}): HeaderList {
  const headers = [
    'content-type',
    of.contentType === '' ? 'application/json' : of.contentType,
    'x-request-id',
    of.requestId,
    'x-yard-replica',
    of.replica,
    'x-yard-attempts',
    String(of.attempts),
    'x-yard-overhead-ms',
    of.overheadMs.toFixed(2),
  ]
  if (of.closing) headers.push('connection', 'close')
  return headers
}

/** Head and body of an error, the body as bytes in latin1. */
export function errorAnswer(
  error: GatewayError,
  more: { readonly requestId: string; readonly source: 'gateway' | 'engine'; readonly closing: boolean },
): { readonly headers: HeaderList; readonly text: string } {
  const headers: HeaderList = [
    'content-type',
    'application/json',
    'x-request-id',
    more.requestId,
    'x-should-retry',
    error.shouldRetry ? 'true' : 'false',
    'x-yard-error-source',
    more.source,
  ]
  if (error.retryAfterS !== undefined) headers.push('retry-after', String(error.retryAfterS))
  if (error.status === 401) headers.push('www-authenticate', 'Bearer')
  if (more.closing) headers.push('connection', 'close')
  return { headers, text: bytesAsText(errorBody(error)) }
}

/** An error as the last event of a stream, bytes as latin1. */
export function errorEvent(error: GatewayError): string {
  return `data: ${bytesAsText(errorBody(error))}\n\n`
}

/** Characters as UTF-8 bytes, each byte one character of the result. */
export function bytesAsText(characters: string): string {
  return Buffer.from(characters, 'utf8').toString('latin1')
}
