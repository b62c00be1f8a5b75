import type { Clock } from '../base/clock.ts'
import type { RetryBudget } from '../decide/retry.ts'

/** Requests and retries of the last half to whole minute. */
export class RecentCounts implements RetryBudget {
  readonly #clock: Clock
  #sinceMs: number
  #before = { requests: 0, retries: 0 }
  #now = { requests: 0, retries: 0 }

  constructor(clock: Clock) {
    this.#clock = clock
    this.#sinceMs = clock.monotonicMs()
  }

  get requests(): number {
    return this.#before.requests + this.#now.requests
  }

  get retries(): number {
    return this.#before.retries + this.#now.retries
  }

  request(): void {
    this.#turn()
    this.#now.requests++
  }

  retry(): void {
    this.#turn()
    this.#now.retries++
  }

  #turn(): void {
    const passedMs = this.#clock.monotonicMs() - this.#sinceMs
    if (passedMs < WINDOW_MS) return
    this.#before = passedMs < 2 * WINDOW_MS ? this.#now : { requests: 0, retries: 0 }
    this.#now = { requests: 0, retries: 0 }
    this.#sinceMs += passedMs
  }
}

const WINDOW_MS = 30_000
