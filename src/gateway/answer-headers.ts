import type { HeaderList } from './client-answer.ts'
import { errorBody, type GatewayError } from './gateway-error.ts'

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
