import type { Clock } from '../../base/clock.ts'
import type { Adapters } from './adapters.ts'
import type { EngineLoop } from './engine-loop.ts'
import type { Reply } from './exchange.ts'
import type { Fault, FaultTable } from './faults.ts'
import type { SimCore } from './sim-core.ts'
import type { SimLog } from './sim-log.ts'
import type { SimMetrics } from './sim-metrics.ts'
import type { SimOptions } from './sim-options.ts'

/** What the routes of one engine share. */
export interface SimState {
  readonly options: SimOptions
  readonly maxModelLen: number
  readonly clock: Clock
  readonly core: SimCore
  readonly loop: EngineLoop
  readonly metrics: SimMetrics
  readonly faults: FaultTable
  readonly adapters: Adapters
  readonly openReplies: Set<Reply>
  readonly requestId: () => string
  readonly log: SimLog
  readonly startedAtMs: number
  readonly onRefuse: (durationMs: number) => void
  /** In-process connections are refused until then. */
  refusedUntilMs: number
  /** The page `/metrics` repeats while `metrics_stale` is on. */
  staleMetrics: string | undefined
  readonly stopLog: () => void
  /** Ends the process; set by the engine. */
  crash: (fault: Fault) => void
}
