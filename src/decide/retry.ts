/** How one try at one replica ended. */
export type AttemptEnd =
  | { readonly kind: 'status'; readonly status: number }
  | {
      /**
       * `aborted`: the engine ended the request itself (`finish_reason: "abort"`). `error_event`: its first event was
       * an error. `bad_answer`: not HTTP, or no JSON where there must be. `no_output`: nothing came in time.
       */
      readonly kind:
        | 'connect_refused'
        | 'connect_failed'
        | 'reset'
        | 'aborted'
        | 'error_event'
        | 'bad_answer'
        | 'no_output'
        | 'client_left'
    }

export interface Attempt {
  readonly replica: string
  readonly end: AttemptEnd
  /** True once a byte of output went to the client. */
  readonly outputForwarded: boolean
}

/** Requests and retries of the recent past, the gateway's own count. */
export interface RetryBudget {
  readonly requests: number
  readonly retries: number
}

export type RetryDecision =
  | { readonly kind: 'again'; readonly avoid: readonly string[]; readonly delayMs: number }
  | {
      readonly kind: 'give_up'
      readonly code: 'output_forwarded' | 'not_retryable' | 'attempts' | 'deadline' | 'retry_budget'
    }

export const MAX_ATTEMPTS = 3
/** Retries may be this share of the requests, so that a fault of many replicas makes no storm. */
const RETRY_SHARE = 0.2
/** So few retries are no storm, whatever the share. */
const FREE_RETRIES = 10
const SECOND_RETRY_DELAY_MS = 100

/**
 * Faults of the replica, not of the request; another replica may well answer. 503 is also "still loading"; 401 and 403
 * are about the gateway's own credential, also from an agent on whose node the replica does not serve any more.
 */
const RETRYABLE_STATUS: readonly number[] = [401, 403, 429, 500, 502, 503, 504]

/**
 * Whether a request is sent again, elsewhere. Never after output was forwarded: the client would see two answers in
 * one. `budgetLeftMs` is what the request's own deadline leaves.
 */
export function retry(
  attempts: readonly Attempt[],
  budgetLeftMs: number,
  retryBudget: RetryBudget,
): RetryDecision {
  if (attempts.some(({ outputForwarded }) => outputForwarded)) return giveUp('output_forwarded')
  const last = attempts.at(-1)
  if (last !== undefined && !isRetryable(last.end)) return giveUp('not_retryable')
  if (attempts.length >= MAX_ATTEMPTS) return giveUp('attempts')
  const delayMs = attempts.length > 1 ? SECOND_RETRY_DELAY_MS : 0
  if (budgetLeftMs <= delayMs) return giveUp('deadline')
  const allowed = Math.max(FREE_RETRIES, Math.floor(retryBudget.requests * RETRY_SHARE))
  if (retryBudget.retries >= allowed) return giveUp('retry_budget')
  return { kind: 'again', avoid: [...new Set(attempts.map(({ replica }) => replica))], delayMs }
}

function isRetryable(end: AttemptEnd): boolean {
  switch (end.kind) {
    case 'status':
      return RETRYABLE_STATUS.includes(end.status)
    case 'connect_refused':
    case 'connect_failed':
    case 'reset':
    case 'aborted':
    case 'error_event':
    case 'bad_answer':
      return true
    // A long prompt may still be at work there; a second copy of it elsewhere would only add load.
    case 'no_output':
    case 'client_left':
      return false
  }
}

function giveUp(code: Extract<RetryDecision, { kind: 'give_up' }>['code']): RetryDecision {
  return { kind: 'give_up', code }
}
