import { type GatewayError, gatewayErrors } from './gateway-error.ts'

/**
 * The client's error for an error of an engine. Below 500 it is the client's own affair and the engine's words are
 * kept; of a fault of the engine nothing is told but that. `text` is the answer's body, or an error object alone.
 */
export function clientErrorOf(status: number, text: string, retryAfter: string | undefined): GatewayError {
  if (status === 429 || status === 503) return gatewayErrors.overloaded(secondsOf(retryAfter))
  // Our own credential was refused, which is nothing that the client could mend.
  if (status === 401 || status === 403 || status === 407) return gatewayErrors.upstreamFailed()
  if (status === 501) return notSupported()
  if (status >= 500) return gatewayErrors.upstreamFailed()
  const said = errorObjectOf(text)
  const message =
    typeof said.message === 'string' && said.message !== '' ? said.message : `the engine answered ${status}`
  const tooLong = status === 400 && isContextOverflow(said, message)
  return {
    status,
    type: status === 404 || !isOpenAiType(said.type) ? 'invalid_request_error' : said.type,
    code: tooLong ? 'context_length_exceeded' : typeof said.code === 'string' ? said.code : undefined,
    message: message.slice(0, LONGEST_MESSAGE),
    ...(typeof said.param === 'string' ? { param: said.param } : {}),
    shouldRetry: false,
  }
}

const LONGEST_MESSAGE = 4_000

function notSupported(): GatewayError {
  return {
    status: 501,
    type: 'invalid_request_error',
    code: 'not_supported',
    message: 'the engine of this model does not support this call',
    shouldRetry: false,
  }
}

/** vLLM and SGLang say it in words (up to now the same), llama-server in the type. */
function isContextOverflow(said: ErrorObject, message: string): boolean {
  return (
    said.type === 'exceed_context_size_error' ||
    said.code === 'context_length_exceeded' ||
    /maximum context length|exceeds the available context size|longer than the model's context length/i.test(
      message,
    )
  )
}

function isOpenAiType(type: unknown): type is string {
  return typeof type === 'string' && /^[a-z_]{1,64}$/.test(type)
}

type ErrorObject = Readonly<Record<'message' | 'type' | 'param' | 'code', unknown>>

function errorObjectOf(text: string): Partial<ErrorObject> & ErrorObject {
  const none = { message: undefined, type: undefined, param: undefined, code: undefined }
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return none
  }
  if (typeof value !== 'object' || value === null) return none
  const inner: unknown = 'error' in value ? value.error : value
  if (typeof inner === 'string') return { ...none, message: inner }
  if (typeof inner === 'object' && inner !== null) return { ...none, ...inner }
  // FastAPI's own answers.
  return 'detail' in value && typeof value.detail === 'string' ? { ...none, message: value.detail } : none
}

/** Whole seconds from 1 to 60; 2 when the engine gave none that can be read. */
function secondsOf(retryAfter: string | undefined): number {
  const seconds = retryAfter === undefined ? Number.NaN : Number(retryAfter)
  return Number.isFinite(seconds) ? Math.min(60, Math.max(1, Math.ceil(seconds))) : 2
}
