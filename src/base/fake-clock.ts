import { type Clock, sleepWith, type Timer } from './clock.ts'

/**
 * A clock that moves only when told. Ships with the product because the simulation uses it too.
 * `advance` fires due timers in order of time (then of creation) and lets promises settle between them.
 */
export class FakeClock implements Clock {
  #nowMs: number
  readonly #startMs: number
  #nextId = 0
  readonly #timers = new Map<number, { atMs: number; run: () => void }>()

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs
    this.#startMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  monotonicMs(): number {
    return this.#nowMs - this.#startMs
  }

  after(delayMs: number, run: () => void): Timer {
    const id = this.#nextId++
    this.#timers.set(id, { atMs: this.#nowMs + Math.max(0, delayMs), run })
    return { cancel: () => void this.#timers.delete(id) }
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return sleepWith(this, delayMs, signal)
  }

  /** How many callbacks wait. */
  get pending(): number {
    return this.#timers.size
  }

  /** Moves time forward by `byMs`, firing everything due on the way. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#nowMs + byMs
    await settle()
    for (let next = this.#earliest(untilMs); next; next = this.#earliest(untilMs)) {
      this.#timers.delete(next.id)
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.run()
      await settle()
    }
    this.#nowMs = untilMs
    await settle()
  }

  #earliest(untilMs: number): { id: number; atMs: number; run: () => void } | undefined {
    let best: { id: number; atMs: number; run: () => void } | undefined
    for (const [id, timer] of this.#timers) {
      if (timer.atMs <= untilMs && (best === undefined || timer.atMs < best.atMs)) best = { id, ...timer }
    }
    return best
  }
}

/** Lets promise chains and I/O callbacks of this turn run to their end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise<void>((resolve) => setImmediate(resolve))
}
