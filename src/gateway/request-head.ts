/** What the gateway reads of a request's headers. */
export interface RequestHead {
  /** From `Authorization: Bearer` or else `x-api-key`. Never logged, never sent on. */
  token: string | undefined
  contentLength: number | undefined
  contentType: string | undefined
  contentEncoding: string | undefined
  requestId: string | undefined
  traceparent: string | undefined
  tracestate: string | undefined
  timeoutMs: number | undefined
  expectsContinue: boolean
}

/**
 * Reads the raw list of headers (name, value, name, value …): a fifth of the cost of the object that Node would
 * make of it. Of a header given twice the first counts; Node has refused two lengths already.
 */
export function readHead(raw: readonly string[]): RequestHead {
  const head: RequestHead = {
    token: undefined,
    contentLength: undefined,
    contentType: undefined,
    contentEncoding: undefined,
    requestId: undefined,
    traceparent: undefined,
    tracestate: undefined,
    timeoutMs: undefined,
    expectsContinue: false,
  }
  let apiKey: string | undefined
  for (let at = 0; at + 1 < raw.length; at += 2) {
    const name = raw[at] as string
    const value = raw[at + 1] as string
    // The length rules out nearly all, before a lower-case copy is made.
    switch (name.length) {
      case 6:
        if (is(name, 'expect')) head.expectsContinue = value.toLowerCase() === '100-continue'
        break
      case 9:
        if (is(name, 'x-api-key')) apiKey ??= value
        break
      case 10:
        if (is(name, 'tracestate') && TRACESTATE.test(value)) head.tracestate ??= value
        break
      case 11:
        if (is(name, 'traceparent') && TRACEPARENT.test(value)) head.traceparent ??= value
        break
      case 12:
        if (is(name, 'content-type')) head.contentType ??= value
        else if (is(name, 'x-request-id') && REQUEST_ID.test(value)) head.requestId ??= value
        break
      case 13:
        if (is(name, 'authorization')) head.token ??= bearerOf(value)
        break
      case 14:
        if (is(name, 'content-length')) head.contentLength = Number(value)
        break
      case 16:
        if (is(name, 'content-encoding')) head.contentEncoding ??= value
        break
      case 20:
        if (is(name, 'x-request-timeout-ms') && /^\d{1,9}$/.test(value)) head.timeoutMs ??= Number(value)
        break
    }
  }
  head.token ??= apiKey
  return head
}

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/
const TRACESTATE = /^[\x20-\x7e]{1,512}$/
const REQUEST_ID = /^[A-Za-z0-9._-]{8,128}$/

function is(name: string, lowerCase: string): boolean {
  return name === lowerCase || name.toLowerCase() === lowerCase
}

function bearerOf(value: string): string | undefined {
  return value.length > 7 && value.charCodeAt(6) === 0x20 && value.slice(0, 6).toLowerCase() === 'bearer'
    ? value.slice(7).trim()
    : undefined
}
