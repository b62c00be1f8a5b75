import { backoffMs } from './backoff.ts'
import type { Clock, Timer } from './clock.ts'
import type { Random } from './random.ts'

/** What one pass over a key found: look again at `wakeAtMs` (wall clock) even when nobody adds the key. */
export interface Pass {
  readonly wakeAtMs?: number
}

export interface KeyedQueueOptions {
  readonly clock: Clock
  readonly random: Random
  /** Reads what is, decides and acts. Told only the key: whatever changed meanwhile is part of what it reads. */
  readonly work: (key: string, signal: AbortSignal) => Promise<Pass | undefined>
  /** After each fault; the key waits for its backoff, whoever adds it meanwhile. */
  readonly onFault: (key: string, error: unknown, attempt: number) => void
  /** Keys worked on at the same time. */
  readonly concurrency: number
  readonly backoff?: { readonly baseMs: number; readonly capMs: number }
}

const DEFAULT_BACKOFF = { baseMs: 100, capMs: 5_000 }

/**
 * A level-triggered work queue. A key added many times before its turn is worked once; one added while it is
 * being worked is worked once more afterwards; no key is worked by two at a time. Bounded by the number of keys.
 */
export class KeyedQueue {
  readonly #options: KeyedQueueOptions
  readonly #waiting = new Set<string>()
  readonly #running = new Map<string, Promise<void>>()
  readonly #again = new Set<string>()
  readonly #wakeUps = new Map<string, Timer>()
  readonly #attempts = new Map<string, number>()
  #signal: AbortSignal | undefined
  #pumpDue = false

  constructor(options: KeyedQueueOptions) {
    this.#options = options
  }

  /** Asks for a pass over `key`. */
  add(key: string): void {
    if (this.#running.has(key)) this.#again.add(key)
    else if (!this.#attempts.has(key)) {
      this.#cancelWakeUp(key)
      this.#waiting.add(key)
    }
    this.#pumpSoon()
  }

  /** Works until `signal` aborts; resolves when the last pass has ended. One run at a time. */
  async run(signal: AbortSignal): Promise<void> {
    this.#signal = signal
    this.#pumpSoon()
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
    }
    for (const key of [...this.#wakeUps.keys()]) this.#cancelWakeUp(key)
    this.#waiting.clear()
    await Promise.all(this.#running.values())
    this.#attempts.clear()
    this.#again.clear()
    this.#signal = undefined
  }

  /** Keys that wait for their turn or are being worked; those that sleep do not count. */
  get depth(): number {
    return this.#waiting.size + this.#running.size
  }

  /** In a microtask, so that what is added in one go is worked once. */
  #pumpSoon(): void {
    if (this.#pumpDue) return
    this.#pumpDue = true
    queueMicrotask(() => {
      this.#pumpDue = false
      this.#pump()
    })
  }

  #pump(): void {
    const signal = this.#signal
    if (signal === undefined || signal.aborted) return
    for (const key of this.#waiting) {
      if (this.#running.size >= this.#options.concurrency) return
      this.#waiting.delete(key)
      this.#running.set(key, this.#pass(key, signal))
    }
  }

  async #pass(key: string, signal: AbortSignal): Promise<void> {
    // The work begins after the key stands in `#running`, so that it may add itself again.
    await Promise.resolve()
    let wakeInMs: number | undefined
    try {
      const pass = await this.#options.work(key, signal)
      this.#attempts.delete(key)
      if (pass?.wakeAtMs !== undefined) wakeInMs = pass.wakeAtMs - this.#options.clock.now()
    } catch (error) {
      if (!signal.aborted) wakeInMs = this.#noteFault(key, error)
    }
    this.#running.delete(key)
    const again = this.#again.delete(key)
    if (signal.aborted) return
    if (this.#attempts.has(key)) this.#wakeIn(key, wakeInMs ?? 0)
    else if (again) this.#waiting.add(key)
    else if (wakeInMs !== undefined) this.#wakeIn(key, wakeInMs)
    this.#pump()
  }

  #noteFault(key: string, error: unknown): number {
    const attempt = (this.#attempts.get(key) ?? 0) + 1
    this.#attempts.set(key, attempt)
    this.#options.onFault(key, error, attempt)
    return backoffMs(attempt, this.#options.backoff ?? DEFAULT_BACKOFF, this.#options.random)
  }

  #wakeIn(key: string, delayMs: number): void {
    this.#cancelWakeUp(key)
    const timer = this.#options.clock.after(Math.min(Math.max(delayMs, MIN_WAIT_MS), MAX_TIMER_MS), () => {
      this.#wakeUps.delete(key)
      this.#waiting.add(key)
      this.#pump()
    })
    this.#wakeUps.set(key, timer)
  }

  #cancelWakeUp(key: string): void {
    this.#wakeUps.get(key)?.cancel()
    this.#wakeUps.delete(key)
  }
}

/** A time to wake that lies in the past must not become a loop without a pause. */
const MIN_WAIT_MS = 20

/** Longest delay that a timer holds; an earlier look costs nothing. */
const MAX_TIMER_MS = 2_147_483_647
