import type { AttemptEnd } from './retry.ts'

/** What a finished request says of the replica. `neutral` says nothing: the client left, or asked for nonsense. */
export type BreakerOutcome = 'success' | 'failure' | 'connect_refused' | 'neutral'

/** Whether a replica is to be used. Immutable; one for each replica in each gateway. */
export type Breaker =
  | { readonly state: 'closed'; readonly failures: number; readonly refusals: number }
  /** `openings`: how often it opened without a success between. */
  | { readonly state: 'open'; readonly untilMs: number; readonly openings: number }
  /** One request is on its way to find out; after `untilMs` it counts as lost and the next one finds out. */
  | { readonly state: 'half_open'; readonly untilMs: number; readonly openings: number }

export const CLOSED_BREAKER: Breaker = Object.freeze({ state: 'closed', failures: 0, refusals: 0 })

const FAILURES_TO_OPEN = 5
const REFUSALS_TO_OPEN = 2
const FIRST_OPEN_MS = 5_000
const LONGEST_OPEN_MS = 60_000
const PROBE_MS = 60_000

/** True while the replica is not to be used. An open breaker whose time is up lets one request through. */
export function isEjected(breaker: Breaker, nowMs: number): boolean {
  return breaker.state !== 'closed' && nowMs < breaker.untilMs
}

/**
 * To be called when a request is sent, whether ejected or not (when all are, one is used nevertheless). `probe` goes
 * into `breakerAfter` of the same request: its answer decides.
 */
export function breakerOnSend(breaker: Breaker, nowMs: number): { breaker: Breaker; probe: boolean } {
  if (breaker.state === 'closed' || nowMs < breaker.untilMs) return { breaker, probe: false }
  return {
    breaker: { state: 'half_open', untilMs: nowMs + PROBE_MS, openings: breaker.openings },
    probe: true,
  }
}

/**
 * The breaker after a request ended; for a probe, already at its first output, since a stream may last minutes.
 * Requests sent before it opened say nothing new while it is open.
 */
export function breakerAfter(
  breaker: Breaker,
  outcome: BreakerOutcome,
  request: { readonly probe: boolean; readonly nowMs: number },
): Breaker {
  if (breaker.state === 'closed') return afterWhileClosed(breaker, outcome, request.nowMs)
  if (breaker.state === 'open' || !request.probe) return breaker
  switch (outcome) {
    case 'success':
      return CLOSED_BREAKER
    case 'neutral':
      return { state: 'open', untilMs: request.nowMs, openings: breaker.openings }
    default:
      return opened(breaker.openings + 1, request.nowMs)
  }
}

function afterWhileClosed(
  breaker: Extract<Breaker, { state: 'closed' }>,
  outcome: BreakerOutcome,
  nowMs: number,
): Breaker {
  if (outcome === 'neutral') return breaker
  if (outcome === 'success') {
    return breaker.failures === 0 && breaker.refusals === 0 ? breaker : CLOSED_BREAKER
  }
  const failures = breaker.failures + 1
  const refusals = outcome === 'connect_refused' ? breaker.refusals + 1 : 0
  return failures >= FAILURES_TO_OPEN || refusals >= REFUSALS_TO_OPEN
    ? opened(1, nowMs)
    : { state: 'closed', failures, refusals }
}

function opened(openings: number, nowMs: number): Breaker {
  const lastsMs = Math.min(LONGEST_OPEN_MS, FIRST_OPEN_MS * 2 ** (openings - 1))
  return { state: 'open', untilMs: nowMs + lastsMs, openings }
}

/**
 * What the end of an attempt says of its replica. An engine that is full (429, 503) or lacks a call (501) is not
 * broken, and an error of the client's says nothing; an engine that ends requests itself, answers nothing in time, or
 * refuses the gateway's own credential, is of no use.
 */
export function breakerOutcome(end: AttemptEnd): BreakerOutcome {
  switch (end.kind) {
    case 'status':
      if (end.status < 400) return 'success'
      if (end.status === 401 || end.status === 403) return 'failure'
      return end.status >= 500 && end.status !== 501 && end.status !== 503 ? 'failure' : 'neutral'
    case 'client_left':
      return 'neutral'
    case 'connect_refused':
      return 'connect_refused'
    default:
      return 'failure'
  }
}
