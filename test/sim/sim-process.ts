import { type Clock, sleepWith, type Timer } from '../../src/base/clock.ts'

/**
 * One operating-system process that can stand still (SIGSTOP) or die between any two of its steps. Its timers come due
 * while it stands and fire when it goes on, as they would; when it is dead they never do. Everything that it asks of
 * the world passes `gate` on the way out and on the way back.
 */
export class SimProcess {
  readonly clock: Clock
  #standing = false
  #dead = false
  #held: (() => void)[] = []
  /** Dies at its so-manieth next pass through the gate. */
  #passesLeft = Number.POSITIVE_INFINITY

  /** `skewMs`: how far this machine's wall clock is off. */
  constructor(world: Clock, skewMs = 0) {
    const after = (delayMs: number, run: () => void): Timer => {
      let cancelled = false
      const timer = world.after(delayMs, () => {
        this.#whenGoing(() => {
          if (!cancelled) run()
        })
      })
      return {
        cancel: () => {
          cancelled = true
          timer.cancel()
        },
      }
    }
    this.clock = {
      now: () => world.now() + skewMs,
      monotonicMs: () => world.monotonicMs(),
      after,
      sleep: (delayMs, signal) => sleepWith({ after }, delayMs, signal),
    }
  }

  get dead(): boolean {
    return this.#dead
  }

  get standing(): boolean {
    return this.#standing
  }

  get running(): boolean {
    return !this.#dead && !this.#standing
  }

  /** Resolves when the process goes on; never when it is dead. */
  async gate(): Promise<void> {
    if (this.#passesLeft-- <= 0) this.kill()
    if (this.running) return
    await new Promise<void>((resolve) => this.#whenGoing(resolve))
  }

  /** The result of `work`, as the process gets to see it. */
  async through<Value>(work: () => Promise<Value>): Promise<Value> {
    await this.gate()
    try {
      return await work()
    } finally {
      await this.gate()
    }
  }

  kill(): void {
    this.#dead = true
    this.#held = []
  }

  /** Dies before or after the so-manieth thing that it does from now on. */
  killAfter(passes: number): void {
    this.#passesLeft = passes
  }

  stand(): void {
    this.#standing = true
  }

  goOn(): void {
    this.#standing = false
    for (const run of this.#held.splice(0)) run()
  }

  #whenGoing(run: () => void): void {
    if (this.#dead) return
    if (this.#standing) this.#held.push(run)
    else run()
  }
}
