import type { Clock, Timer } from '../base/clock.ts'

/** Something in flight that must be over by a time which may move. */
export interface Bounded {
  /** Of the clock's monotonic time. */
  deadlineAtMs: number
  /** Its place in the list; only the list writes it. */
  place: number
  expire(nowMs: number): void
}

/**
 * All that is in flight, with deadlines that are looked at a few times a second. A timer for each phase of each
 * request would cost more than the request; setting `deadlineAtMs` costs nothing. A deadline passes up to `everyMs`
 * late.
 *
 * An array and no Set: a Set that is always added to and deleted from leaves old tables behind, which keep requests
 * alive until the next full garbage collection (a sixth of all processor time under load).
 */
export class Deadlines<Item extends Bounded> {
  readonly #clock: Clock
  readonly #everyMs: number
  readonly #items: Item[] = []
  #timer: Timer | undefined
  #dueMs = 0
  #lagMs = 0

  constructor(clock: Clock, everyMs = 50) {
    this.#clock = clock
    this.#everyMs = everyMs
  }

  get size(): number {
    return this.#items.length
  }

  /** How late a look was at most since this was last asked: what the process was too busy for. */
  takeLagMs(): number {
    const lagMs = this.#lagMs
    this.#lagMs = 0
    return lagMs
  }

  /** Those in flight now; what happens to them does not change the copy. */
  all(): Item[] {
    return [...this.#items]
  }

  add(item: Item): void {
    item.place = this.#items.push(item) - 1
    if (this.#timer === undefined) this.#lookLater(this.#clock.monotonicMs())
  }

  /** Twice does nothing. */
  delete(item: Item): void {
    const { place } = item
    if (this.#items[place] !== item) return
    const last = this.#items.pop()
    if (last !== undefined && last !== item) {
      this.#items[place] = last
      last.place = place
    }
  }

  readonly #look = (): void => {
    this.#timer = undefined
    const nowMs = this.#clock.monotonicMs()
    this.#lagMs = Math.max(this.#lagMs, nowMs - this.#dueMs)
    // From the end, so that an item which moves into a freed place was looked at already.
    for (let place = this.#items.length - 1; place >= 0; place--) {
      const item = this.#items[place]
      if (item !== undefined && item.deadlineAtMs <= nowMs) item.expire(nowMs)
    }
    if (this.#items.length > 0) this.#lookLater(nowMs)
  }

  #lookLater(nowMs: number): void {
    this.#dueMs = nowMs + this.#everyMs
    this.#timer = this.#clock.after(this.#everyMs, this.#look)
  }
}
