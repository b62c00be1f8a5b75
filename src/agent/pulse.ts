import type { Clock } from '../base/clock.ts'

/** Wakes one waiter. Being woken while nobody waits is remembered, once: no wake is lost and none piles up. */
export interface Pulse {
  wake(): void
  /** Resolves when woken or after `timeoutMs`, true when woken; rejects when `signal` aborts. */
  wait(timeoutMs: number, signal: AbortSignal): Promise<boolean>
}

export function createPulse(clock: Clock): Pulse {
  let woken = false
  let wakeWaiter: (() => void) | undefined
  return {
    wake() {
      woken = true
      wakeWaiter?.()
    },
    async wait(timeoutMs, signal) {
      signal.throwIfAborted()
      if (!woken) {
        const cancel = new AbortController()
        const waking = new Promise<void>((resolve) => {
          wakeWaiter = resolve
        })
        const sleeping = clock.sleep(timeoutMs, AbortSignal.any([signal, cancel.signal])).catch(() => {})
        await Promise.race([waking, sleeping])
        wakeWaiter = undefined
        cancel.abort()
        signal.throwIfAborted()
      }
      const result = woken
      woken = false
      return result
    },
  }
}
