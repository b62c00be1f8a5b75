/** An answer of our own making, in OpenAI's envelope. */
export interface GatewayError {
  readonly status: number
  readonly type: string
  readonly code: string | undefined
  readonly message: string
  readonly param?: string
  /** Seconds, 1 to 60: one official client ignores more than 60 and the other takes more than 120 for "never". */
  readonly retryAfterS?: number
  /** Said as `x-should-retry`, so that a client's retries don't multiply ours. */
  readonly shouldRetry: boolean
}

/** The body of an error answer; also the data of an error event in a stream. */
export function errorBody(error: GatewayError): string {
  return JSON.stringify({
    error: { message: error.message, type: error.type, param: error.param ?? null, code: error.code ?? null },
  })
}

const invalid = { type: 'invalid_request_error', shouldRetry: false } as const

/** The one table of what the gateway itself answers. */
export const gatewayErrors = {
  unreadable: (body: { reason: string; message: string; param?: string }): GatewayError => ({
    ...invalid,
    status: 400,
    code: body.reason,
    message: body.message,
    ...(body.param === undefined ? {} : { param: body.param }),
  }),
  unknownPath: (path: string): GatewayError => ({
    ...invalid,
    status: 404,
    code: 'unknown_url',
    message: `there is nothing at ${path}`,
  }),
  wrongMethod: (allowed: string): GatewayError => ({
    ...invalid,
    status: 405,
    code: 'method_not_allowed',
    message: `use ${allowed} here`,
  }),
  wrongContentType: (): GatewayError => ({
    ...invalid,
    status: 415,
    code: 'unsupported_media_type',
    message: 'send JSON, uncompressed, with content-type: application/json',
  }),
  requestTimeout: (): GatewayError => ({
    ...invalid,
    status: 408,
    code: 'request_timeout',
    message: 'the body did not arrive in time',
  }),
  malformed: (status: 400 | 408 | 431, code: string, message: string): GatewayError => ({
    ...invalid,
    status,
    code,
    message,
  }),
  tooLarge: (maxBytes: number): GatewayError => ({
    ...invalid,
    status: 413,
    code: 'request_too_large',
    message: `the body is larger than ${maxBytes} bytes`,
  }),
  /** The same for every bad key, so that none of it can be told from another. */
  badKey: (): GatewayError => ({
    status: 401,
    type: 'authentication_error',
    code: 'invalid_api_key',
    message:
      'the API key is missing or not valid; send it as "Authorization: Bearer <key>" or "x-api-key: <key>"',
    shouldRetry: false,
  }),
  wrongScope: (needed: string): GatewayError => ({
    status: 403,
    type: 'permission_error',
    code: 'insufficient_scope',
    message: `this key may not do that; it needs the scope ${needed}`,
    shouldRetry: false,
  }),
  modelNotAllowed: (model: string): GatewayError => ({
    status: 403,
    type: 'permission_error',
    code: 'model_not_allowed',
    message: `this key may not use the model "${model}"`,
    param: 'model',
    shouldRetry: false,
  }),
  modelNotFound: (model: string): GatewayError => ({
    ...invalid,
    status: 404,
    code: 'model_not_found',
    message: `the model "${model}" does not exist or this key may not use it; GET /v1/models lists what there is`,
    param: 'model',
  }),
  modelLoading: (model: string): GatewayError => ({
    status: 503,
    type: 'server_error',
    code: 'model_loading',
    message: `no replica of "${model}" is ready yet; try again`,
    retryAfterS: 5,
    shouldRetry: true,
  }),
  overloaded: (retryAfterS = 2): GatewayError => ({
    status: 503,
    type: 'server_error',
    code: 'overloaded',
    message: 'all that could take this request is busy; try again',
    retryAfterS,
    shouldRetry: true,
  }),
  unreachable: (): GatewayError => ({
    status: 503,
    type: 'server_error',
    code: 'overloaded',
    message: 'no replica of this model can be reached; try again',
    retryAfterS: 5,
    shouldRetry: true,
  }),
  noView: (): GatewayError => ({
    status: 503,
    type: 'server_error',
    code: 'not_ready',
    message: 'this gateway has not heard from its control plane yet; try again',
    retryAfterS: 5,
    shouldRetry: true,
  }),
  draining: (): GatewayError => ({
    status: 503,
    type: 'server_error',
    code: 'overloaded',
    message: 'this gateway is shutting down; try again',
    retryAfterS: 1,
    shouldRetry: true,
  }),
  upstreamFailed: (): GatewayError => ({
    status: 502,
    type: 'server_error',
    code: 'upstream_error',
    message: 'the engine failed before it answered',
    shouldRetry: false,
  }),
  upstreamTimeout: (): GatewayError => ({
    status: 504,
    type: 'server_error',
    code: 'upstream_timeout',
    message: 'the engine did not answer in time',
    shouldRetry: false,
  }),
  /** After the first output; never sent as a status. */
  streamBroken: (): GatewayError => ({
    status: 502,
    type: 'server_error',
    code: 'upstream_error',
    message: 'the answer broke off and is not whole',
    shouldRetry: false,
  }),
  internal: (): GatewayError => ({
    status: 500,
    type: 'server_error',
    code: 'internal_error',
    message: 'this is a bug in the gateway; its log has the request id',
    shouldRetry: false,
  }),
} as const
