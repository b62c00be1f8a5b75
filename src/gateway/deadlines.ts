import type { Clock, Timer } from '../base/clock.ts'

/** Something that must be over by a time which may move. */
export interface Bounded {
  /** Of the clock's monotonic time. */
  deadlineAtMs: number
  expire(nowMs: number): void
}

/**
 * Deadlines of everything in flight, looked at a few times a second. A timer for each phase of each request would
 * cost more than the request; setting `deadlineAtMs` costs nothing. A deadline passes up to `everyMs` late.
 */
export class Deadlines {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #bounded = new Set<Bounded>()
  #timer: Timer | undefined

  constructor(clock: Clock, everyMs = 50) {
    this.#clock = clock
    this.#everyMs = everyMs
  }

  add(bounded: Bounded): void {
    this.#bounded.add(bounded)
    this.#timer ??= this.#clock.after(this.#everyMs, this.#look)
  }

  delete(bounded: Bounded): void {
    this.#bounded.delete(bounded)
  }

  readonly #look = (): void => {
    this.#timer = undefined
    const nowMs = this.#clock.monotonicMs()
    for (const bounded of this.#bounded) {
      if (bounded.deadlineAtMs <= nowMs) bounded.expire(nowMs)
    }
    if (this.#bounded.size > 0) this.#timer = this.#clock.after(this.#everyMs, this.#look)
  }
}
