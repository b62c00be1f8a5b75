import type { Clock } from '../../base/clock.ts'

/** What a slot must tell to be chosen well. */
export interface Reusable {
  sharedWith(tokens: readonly number[]): number
}

export type Acquired<Slot> =
  | { readonly kind: 'slot'; readonly slot: Slot; readonly waitedMs: number }
  | { readonly kind: 'overloaded' | 'timed_out' | 'aborted' }

/** How many may wait, over all pools that share it. */
export class Waiting {
  readonly #most: number
  #count = 0

  constructor(most: number) {
    this.#most = most
  }

  get count(): number {
    return this.#count
  }

  get left(): number {
    return this.#most - this.#count
  }

  enter(): void {
    this.#count++
  }

  leave(): void {
    this.#count--
  }
}

interface Waiter<Slot> {
  readonly tokens: readonly number[]
  readonly give: (slot: Slot) => void
}

/**
 * A fixed set of slots, given out first come, first served. A request gets the free slot that already holds the
 * longest beginning of its prompt. Waiting is bounded in number and in time and ends when the client leaves.
 */
export class SlotPool<Slot extends Reusable> {
  readonly #free: Slot[]
  readonly #all: readonly Slot[]
  readonly #waiters: Waiter<Slot>[] = []
  readonly #waiting: Waiting
  readonly #clock: Clock
  readonly #waitLimitMs: number
  readonly #idleCallbacks: (() => void)[] = []

  constructor(
    slots: readonly Slot[],
    options: { readonly waiting: Waiting; readonly clock: Clock; readonly waitLimitMs: number },
  ) {
    this.#all = slots
    this.#free = [...slots]
    this.#waiting = options.waiting
    this.#clock = options.clock
    this.#waitLimitMs = options.waitLimitMs
  }

  get slots(): readonly Slot[] {
    return this.#all
  }

  /** Slots that are given out. */
  get busy(): readonly Slot[] {
    return this.#all.filter((slot) => !this.#free.includes(slot))
  }

  /** Whether `count` requests can be taken now, running or waiting. */
  hasRoomFor(count: number): boolean {
    return count - this.#free.length <= this.#waiting.left
  }

  acquire(tokens: readonly number[], signal: AbortSignal): Promise<Acquired<Slot>> {
    if (signal.aborted) return Promise.resolve({ kind: 'aborted' })
    const free = this.#takeBest(tokens)
    if (free !== undefined) return Promise.resolve({ kind: 'slot', slot: free, waitedMs: 0 })
    if (this.#waiting.left < 1) return Promise.resolve({ kind: 'overloaded' })
    return this.#wait(tokens, signal)
  }

  release(slot: Slot): void {
    this.#free.push(slot)
    const next = this.#waiters.shift()
    const best = next && this.#takeBest(next.tokens)
    if (best !== undefined) next?.give(best)
    if (this.#isIdle()) for (const callback of this.#idleCallbacks.splice(0)) callback()
  }

  /** Resolves when no slot is given out and nobody waits. */
  idle(): Promise<void> {
    if (this.#isIdle()) return Promise.resolve()
    return new Promise((resolve) => this.#idleCallbacks.push(resolve))
  }

  #isIdle(): boolean {
    return this.#free.length === this.#all.length && this.#waiters.length === 0
  }

  #takeBest(tokens: readonly number[]): Slot | undefined {
    let best = -1
    let bestShared = -1
    for (const [index, slot] of this.#free.entries()) {
      const shared = slot.sharedWith(tokens)
      if (shared > bestShared) {
        best = index
        bestShared = shared
      }
    }
    return best < 0 ? undefined : this.#free.splice(best, 1)[0]
  }

  #wait(tokens: readonly number[], signal: AbortSignal): Promise<Acquired<Slot>> {
    const sinceMs = this.#clock.monotonicMs()
    this.#waiting.enter()
    return new Promise((resolve) => {
      const end = (result: Acquired<Slot>) => {
        timer.cancel()
        signal.removeEventListener('abort', onAbort)
        this.#waiting.leave()
        resolve(result)
      }
      const leave = (kind: 'timed_out' | 'aborted') => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
        end({ kind })
      }
      const waiter: Waiter<Slot> = {
        tokens,
        give: (slot) => end({ kind: 'slot', slot, waitedMs: this.#clock.monotonicMs() - sinceMs }),
      }
      const onAbort = () => leave('aborted')
      const timer = this.#clock.after(this.#waitLimitMs, () => leave('timed_out'))
      signal.addEventListener('abort', onAbort, { once: true })
      this.#waiters.push(waiter)
    })
  }
}
