import type { Clock, Timer } from '../../base/clock.ts'
import type { SimCore } from './sim-core.ts'
import type { SimEvent, SimFinished, SimRequest, SubmitResult } from './sim-request.ts'

/** What one live sequence's owner hears. */
export interface SequenceListener {
  token(event: Extract<SimEvent, { kind: 'token' }>): void
  ended(end: SimFinished): void
  /** Called once after all events of a turn: the time to write. The same function may serve many sequences. */
  readonly flush: () => void
}

/** Runs a core against a clock: one timer for the whole engine, however many sequences stream. */
export interface EngineLoop {
  submit(request: SimRequest, listener: SequenceListener): SubmitResult
  abort(id: string): void
  abortAll(): void
  live(): number
  /** No step happens after this. */
  stop(): void
}

export function createEngineLoop(
  core: SimCore,
  clock: Clock,
  observe: (event: SimEvent) => void,
): EngineLoop {
  const listeners = new Map<string, SequenceListener>()
  let timer: Timer | undefined
  let timerAtMs = Number.POSITIVE_INFINITY
  let stopped = false

  const dispatch = (event: SimEvent, flushes: Set<() => void>) => {
    observe(event)
    if (event.kind !== 'token' && event.kind !== 'finished') return
    const listener = listeners.get(event.id)
    if (listener === undefined) return
    flushes.add(listener.flush)
    if (event.kind === 'token') listener.token(event)
    else {
      listeners.delete(event.id)
      listener.ended(event)
    }
  }

  const turn = () => {
    timer = undefined
    timerAtMs = Number.POSITIVE_INFINITY
    const nowMs = clock.monotonicMs()
    const flushes = new Set<() => void>()
    for (let steps = 0; steps < MOST_STEPS_A_TURN && !stopped; steps++) {
      const dueAtMs = core.nextEventAtMs()
      if (dueAtMs === undefined || dueAtMs > nowMs) break
      // Too far behind (a busy machine, a suspended laptop): the device was slow, rather than in a hurry now.
      for (const event of core.step(Math.max(dueAtMs, nowMs - MOST_LAG_MS))) dispatch(event, flushes)
    }
    for (const flush of flushes) flush()
    arm()
  }

  const arm = () => {
    const dueAtMs = core.nextEventAtMs()
    if (stopped || dueAtMs === undefined || dueAtMs >= timerAtMs) return
    timer?.cancel()
    timerAtMs = dueAtMs
    // Whole milliseconds up: a host timer truncates, and would wake once in vain before each step. Steps shorter
    // than that run several to a turn; their own times stay exact.
    timer = clock.after(Math.max(0, Math.ceil(dueAtMs - clock.monotonicMs())), turn)
  }

  const abort = (id: string, flushes: Set<() => void>) => {
    const end = core.abort(id, clock.monotonicMs())
    if (end) dispatch(end, flushes)
  }

  return {
    submit(request, listener) {
      const result = core.submit(request, clock.monotonicMs())
      if (result.kind === 'queued') {
        listeners.set(request.id, listener)
        arm()
      }
      return result
    },
    abort(id) {
      const flushes = new Set<() => void>()
      abort(id, flushes)
      for (const flush of flushes) flush()
    },
    abortAll() {
      const flushes = new Set<() => void>()
      for (const id of [...listeners.keys()]) abort(id, flushes)
      for (const flush of flushes) flush()
    },
    live: () => listeners.size,
    stop() {
      stopped = true
      timer?.cancel()
    },
  }
}

const MOST_STEPS_A_TURN = 256
const MOST_LAG_MS = 100
