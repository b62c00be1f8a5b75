/** A pending callback. Cancelling twice, or after it fired, does nothing. */
export interface Timer {
  cancel(): void
}

/**
 * The only source of time. Everything that waits takes one, so that a test or the simulation can replace it.
 * `now()` is wall-clock milliseconds since the epoch; `monotonicMs()` never goes backwards and has no meaning
 * of its own (use it for durations).
 */
export interface Clock {
  now(): number
  monotonicMs(): number
  after(delayMs: number, run: () => void): Timer
  /** Resolves after `delayMs`; rejects with the signal's reason when it aborts first (also when it already has). */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>
}

/** Real time. Only `roles/` and programs pass it on. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  after(delayMs, run) {
    const handle = setTimeout(run, delayMs)
    return { cancel: () => clearTimeout(handle) }
  },
  sleep: (delayMs, signal) => sleepWith(systemClock, delayMs, signal),
}

/** `sleep` for any clock that has `after`. */
export function sleepWith(clock: Pick<Clock, 'after'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason)
      return
    }
    const onAbort = () => {
      timer.cancel()
      reject(signal?.reason)
    }
    const timer = clock.after(delayMs, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
