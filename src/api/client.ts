import { ERROR_TABLE, type ErrorCode, YardError } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'
import { type Operation, pathOf } from './operation.ts'

export interface CallOptions {
  readonly signal?: AbortSignal
  readonly headers?: Readonly<Record<string, string>>
}

/** Calls the control API. Rejects with a `YardError`: the server's own, or `unreachable`. */
export interface Client {
  call<Params, Query, Body, Result>(
    operation: Operation<Params, Query, Body, Result>,
    input: ClientInput<Params, Query, Body>,
    options?: CallOptions,
  ): Promise<Result>
  /** For operations that answer with a text stream. The caller reads or cancels the body. */
  stream<Params, Query, Body>(
    operation: Operation<Params, Query, Body, unknown>,
    input: ClientInput<Params, Query, Body>,
    options?: CallOptions,
  ): Promise<Response>
}

export interface ClientInput<Params, Query, Body> {
  readonly params?: Params
  readonly query?: Partial<Query>
  readonly body?: Body
}

/** `baseUrl` without a trailing slash; `token` is read for each call, so that it may change. */
export function createClient(deps: {
  fetch: Fetch
  baseUrl: string
  token: () => string | undefined
}): Client {
  const send = async <P, Q, B>(
    operation: Operation<P, Q, B, unknown>,
    input: ClientInput<P, Q, B>,
    options: CallOptions,
  ) => {
    const url = new URL(deps.baseUrl + pathOf(operation, (input.params ?? {}) as Record<string, string>))
    for (const [key, value] of Object.entries(input.query ?? {})) {
      if (value !== undefined) url.searchParams.set(key, String(value))
    }
    const token = deps.token()
    const headers: Record<string, string> = { accept: 'application/json', ...options.headers }
    if (token !== undefined) headers.authorization = `Bearer ${token}`
    if (input.body !== undefined) headers['content-type'] = 'application/json'
    const request = new Request(url, {
      method: operation.method,
      headers,
      ...(input.body === undefined ? {} : { body: JSON.stringify(input.body) }),
      ...(options.signal ? { signal: options.signal } : {}),
    })
    const response = await deps.fetch(request).catch((cause: unknown) => {
      if (options.signal?.aborted) throw options.signal.reason
      throw unreachable(deps.baseUrl, cause)
    })
    if (!response.ok) throw await faultOf(response)
    return response
  }
  return {
    async call(operation, input, options = {}) {
      const response = await send(operation, input, options)
      return (await response.json()) as never
    },
    stream: (operation, input, options = {}) => send(operation, input, options),
  }
}

function unreachable(baseUrl: string, cause: unknown): YardError {
  const reason = cause instanceof Error ? cause.cause : undefined
  if (reason instanceof Error && 'code' in reason && CERTIFICATE_FAULT.test(String(reason.code))) {
    return new YardError(
      'unreachable',
      `the certificate of the server at ${baseUrl} is not trusted: ${reason.message}`,
      {
        reason: 'certificate',
        hint: "for an authority of your own, name its certificate in NODE_EXTRA_CA_CERTS; the address must be one of the certificate's names",
        cause,
      },
    )
  }
  return new YardError('unreachable', `the server at ${baseUrl} can't be reached`, {
    hint: 'check that it runs and that --server (or YARD_SERVER) names it',
    cause,
  })
}

/** What Node calls a chain that it does not trust, a certificate out of date, and one for another name. */
const CERTIFICATE_FAULT = /^(UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO_|CERT_|ERR_TLS_CERT_)/

/** The fault that an error answer carries. */
async function faultOf(response: Response): Promise<YardError> {
  const body = (await response.json().catch(() => undefined)) as
    | {
        error?: {
          code?: string
          message?: string
          reason?: string
          hint?: string
          details?: Record<string, unknown>
          requestId?: string
        }
      }
    | undefined
  const error = body?.error
  const code: ErrorCode =
    error?.code !== undefined && error.code in ERROR_TABLE
      ? (error.code as ErrorCode)
      : codeOfStatus(response.status)
  return new YardError(code, error?.message ?? `the server answered ${response.status}`, {
    ...(error?.reason === undefined ? {} : { reason: error.reason }),
    ...(error?.hint === undefined ? {} : { hint: error.hint }),
    details: { ...error?.details, ...(error?.requestId === undefined ? {} : { requestId: error.requestId }) },
  })
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'unauthenticated'
  if (status === 403) return 'forbidden'
  if (status === 404) return 'not_found'
  if (status === 429) return 'limited'
  return status >= 500 ? 'unavailable' : 'invalid_request'
}
