/**
 * The one table of faults: HTTP status, whether the same call may succeed later, and the CLI's exit code.
 * Codes are part of the API; clients switch on them, so they are never renamed.
 */
export const ERROR_TABLE = {
  invalid_request: { status: 400, retryable: false, exitCode: 2 },
  unknown_field: { status: 400, retryable: false, exitCode: 2 },
  invalid_json: { status: 400, retryable: false, exitCode: 2 },
  usage: { status: 400, retryable: false, exitCode: 2 },
  unauthenticated: { status: 401, retryable: false, exitCode: 4 },
  forbidden: { status: 403, retryable: false, exitCode: 5 },
  not_found: { status: 404, retryable: false, exitCode: 3 },
  method_not_allowed: { status: 405, retryable: false, exitCode: 1 },
  timed_out: { status: 408, retryable: true, exitCode: 7 },
  conflict: { status: 409, retryable: false, exitCode: 6 },
  already_exists: { status: 409, retryable: false, exitCode: 6 },
  too_large: { status: 413, retryable: false, exitCode: 2 },
  source_invalid: { status: 422, retryable: false, exitCode: 1 },
  engine_failed: { status: 422, retryable: false, exitCode: 1 },
  nothing_fits: { status: 422, retryable: false, exitCode: 10 },
  footprint_unknown: { status: 422, retryable: false, exitCode: 10 },
  limited: { status: 429, retryable: true, exitCode: 11 },
  interrupted: { status: 499, retryable: false, exitCode: 130 },
  internal: { status: 500, retryable: false, exitCode: 1 },
  unreachable: { status: 502, retryable: true, exitCode: 8 },
  unavailable: { status: 503, retryable: true, exitCode: 8 },
  store_unavailable: { status: 503, retryable: true, exitCode: 8 },
  compacted: { status: 410, retryable: false, exitCode: 1 },
  data_dir_unusable: { status: 500, retryable: false, exitCode: 1 },
  data_dir_newer: { status: 500, retryable: false, exitCode: 1 },
  record_unreadable: { status: 500, retryable: false, exitCode: 1 },
  port_in_use: { status: 500, retryable: false, exitCode: 1 },
  partial: { status: 500, retryable: false, exitCode: 9 },
} as const satisfies Record<string, { status: number; retryable: boolean; exitCode: number }>

export type ErrorCode = keyof typeof ERROR_TABLE

/**
 * A fault. Recognise it by `code`, never by text or `instanceof` across packages. `message` says what and why;
 * `hint` says what to do next. `details` is for programs and must hold no secret.
 */
export class YardError extends Error {
  override readonly name = 'YardError'
  readonly code: ErrorCode
  readonly reason: string | undefined
  readonly hint: string | undefined
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(
    code: ErrorCode,
    message: string,
    more: {
      reason?: string
      hint?: string
      details?: Readonly<Record<string, unknown>>
      cause?: unknown
    } = {},
  ) {
    super(message, more.cause === undefined ? undefined : { cause: more.cause })
    this.code = code
    this.reason = more.reason
    this.hint = more.hint
    this.details = more.details
  }

  get status(): number {
    return ERROR_TABLE[this.code].status
  }

  get retryable(): boolean {
    return ERROR_TABLE[this.code].retryable
  }

  get exitCode(): number {
    return ERROR_TABLE[this.code].exitCode
  }
}

/** True for a YardError (of that code, when given), also one from another copy of this module. */
export function isYardError(error: unknown, code?: ErrorCode): error is YardError {
  if (!(error instanceof Error) || error.name !== 'YardError' || !('code' in error)) return false
  return code === undefined || error.code === code
}

/** The text of anything thrown. */
export function errorText(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
