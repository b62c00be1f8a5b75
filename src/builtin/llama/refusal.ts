/** A request that is answered with an error, in OpenAI's terms. Clients switch on `code`. */
export interface Refusal {
  readonly kind: 'refused'
  readonly status: number
  readonly type: 'invalid_request_error' | 'authentication_error' | 'server_error'
  readonly code: string
  readonly message: string
  /** The field that is wrong. */
  readonly param?: string
  readonly retryAfterSeconds?: number
}

export function refusal(
  status: number,
  code: string,
  message: string,
  more: { param?: string; retryAfterSeconds?: number } = {},
): Refusal {
  const type =
    status === 401 ? 'authentication_error' : status >= 500 ? 'server_error' : 'invalid_request_error'
  return { kind: 'refused', status, type, code, message, ...more }
}

export function invalidValue(param: string, message: string): Refusal {
  return refusal(400, 'invalid_value', message, { param })
}

export function unsupported(param: string): Refusal {
  return refusal(400, 'unsupported_parameter', `"${param}" is not supported by this engine; leave it out`, {
    param,
  })
}

/** The text is OpenAI's own, which clients search for the numbers. */
export function contextExceeded(
  param: string,
  contextTokens: number,
  promptTokens: number,
  maxTokens: number,
): Refusal {
  return refusal(
    400,
    'context_length_exceeded',
    `This model's maximum context length is ${contextTokens} tokens. However, you requested ${promptTokens + maxTokens} tokens (${promptTokens} in the ${param}, ${maxTokens} in the completion). Please reduce the length of the ${param} or completion.`,
    { param },
  )
}

/** Nothing is free and too many wait, or it took too long. */
export function overloaded(message: string): Refusal {
  return refusal(503, 'overloaded', message, { retryAfterSeconds: 1 })
}

/** OpenAI's error envelope. */
export function errorBody(refused: Refusal): object {
  const { message, type, code, param } = refused
  return { error: { message, type, param: param ?? null, code } }
}
