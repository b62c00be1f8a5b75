import type { Clock } from '../base/clock.ts'
import {
  type Breaker,
  type BreakerOutcome,
  breakerAfter,
  breakerOnSend,
  CLOSED_BREAKER,
  isEjected,
} from '../decide/breaker.ts'
import type { Load } from '../decide/route.ts'

/** One request at one replica, from before it is sent until it is over. */
export interface Occupation {
  /** Tells the breaker how the replica did. Only the first call counts. */
  report(outcome: BreakerOutcome): void
  /** A probe of an ejected replica has its answer with the first output; the stream may go on for minutes. */
  firstOutput(): void
  /** The replica is free of it; without a report it says nothing. Twice does nothing. */
  release(): void
}

/** What this gateway has at each replica: the only memory of load that routing uses. */
export class LoadBook {
  readonly #clock: Clock
  readonly #replicas = new Map<string, ReplicaLoad>()
  readonly #released: () => void
  #uses = 0

  /** `released` is called whenever a replica has become less busy. */
  constructor(clock: Clock, released: () => void) {
    this.#clock = clock
    this.#released = released
  }

  load(replica: string): Load {
    return this.#of(replica)
  }

  occupy(replica: string): Occupation {
    const load = this.#of(replica)
    load.inFlight++
    load.lastUsed = ++this.#uses
    // Nearly always, and then there is nothing to decide.
    if (load.breaker === CLOSED_BREAKER) return new Use(load, false, this.#released)
    const { breaker, probe } = breakerOnSend(load.breaker, this.#clock.monotonicMs())
    load.breaker = breaker
    return new Use(load, probe, this.#released)
  }

  /** Forgets replicas that are gone and have nothing in flight. */
  prune(known: ReadonlyMap<string, unknown>): void {
    for (const [replica, load] of this.#replicas) {
      if (load.inFlight === 0 && !known.has(replica)) this.#replicas.delete(replica)
    }
  }

  all(): { replica: string; inFlight: number; ejected: boolean }[] {
    return [...this.#replicas].map(([replica, { inFlight, ejected }]) => ({ replica, inFlight, ejected }))
  }

  #of(replica: string): ReplicaLoad {
    let load = this.#replicas.get(replica)
    if (load === undefined) {
      load = new ReplicaLoad(this.#clock)
      this.#replicas.set(replica, load)
    }
    return load
  }
}

class ReplicaLoad implements Load {
  readonly clock: Clock
  inFlight = 0
  lastUsed = 0
  breaker: Breaker = CLOSED_BREAKER

  constructor(clock: Clock) {
    this.clock = clock
  }

  get ejected(): boolean {
    return this.breaker.state !== 'closed' && isEjected(this.breaker, this.clock.monotonicMs())
  }
}

class Use implements Occupation {
  readonly #load: ReplicaLoad
  readonly #probe: boolean
  readonly #onRelease: () => void
  #reported = false
  #released = false

  constructor(load: ReplicaLoad, probe: boolean, released: () => void) {
    this.#load = load
    this.#probe = probe
    this.#onRelease = released
  }

  report(outcome: BreakerOutcome): void {
    if (this.#reported) return
    this.#reported = true
    const load = this.#load
    if (load.breaker === CLOSED_BREAKER && outcome === 'success') return
    load.breaker = breakerAfter(load.breaker, outcome, {
      probe: this.#probe,
      nowMs: load.clock.monotonicMs(),
    })
  }

  firstOutput(): void {
    if (this.#probe) this.report('success')
  }

  release(): void {
    if (this.#released) return
    this.#released = true
    this.report('neutral')
    this.#load.inFlight--
    this.#onRelease()
  }
}
