import type { Clock, Timer } from '../base/clock.ts'

/** Calls `onExpire` once for each lease that nobody renewed within its TTL. */
export class LeaseTimers {
  readonly #clock: Clock
  readonly #onExpire: (leaseId: string, ttlMs: number) => void
  readonly #running = new Map<string, { ttlMs: number; timer: Timer }>()

  constructor(clock: Clock, onExpire: (leaseId: string, ttlMs: number) => void) {
    this.#clock = clock
    this.#onExpire = onExpire
  }

  start(leaseId: string, ttlMs: number): void {
    const dueMs = this.#clock.monotonicMs() + ttlMs
    const timer = this.#clock.after(ttlMs, () => {
      // A timer this late means that this process stood still, and so did the keep-alives that now wait in its
      // sockets. As after etcd's change of leader, the lease gets its full TTL again.
      if (this.#clock.monotonicMs() - dueMs > ttlMs / 2) return this.start(leaseId, ttlMs)
      this.#running.delete(leaseId)
      this.#onExpire(leaseId, ttlMs)
    })
    this.#running.set(leaseId, { ttlMs, timer })
  }

  /** False when the lease is not running. */
  renew(leaseId: string): boolean {
    const lease = this.#running.get(leaseId)
    if (lease === undefined) return false
    lease.timer.cancel()
    this.start(leaseId, lease.ttlMs)
    return true
  }

  stop(leaseId: string): void {
    this.#running.get(leaseId)?.timer.cancel()
    this.#running.delete(leaseId)
  }

  stopAll(): void {
    for (const { timer } of this.#running.values()) timer.cancel()
    this.#running.clear()
  }
}
