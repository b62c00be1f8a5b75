import { errorText } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { restartDelayMs, restartWindowMs } from '../../decide/reconcile-node.ts'
import type { Failure } from '../../domain/replica.ts'
import type { Engine, Exit, StopStep } from '../../engines/engine.ts'
import type { RunRecord } from '../disk/agent-disk.ts'
import { splitLines } from '../logs/log-text.ts'
import type { Prepared } from './prepare-launch.ts'
import type { ReplicaDeps } from './replica-deps.ts'
import { type ReplicaState, recordOf } from './replica-state.ts'
import { stopEngine } from './stop-engine.ts'

export const KILL: readonly StopStep[] = [{ signal: 'SIGKILL', waitMs: 5_000 }]

/** What the tasks of one replica share: its state, and the steps that they are made of. */
export interface ReplicaContext {
  readonly deps: ReplicaDeps
  readonly log: Log
  readonly state: ReplicaState
  /** Undefined when this agent does not know it. */
  readonly engine: Engine | undefined
  /** Of the present run, as far as this agent has seen it. */
  readonly live: {
    exited: Promise<Exit> | undefined
    prepared: Prepared | undefined
    /** How often the kernel had killed for memory when it started. */
    memoryKillsBefore: number | undefined
    wasReady: boolean
    adaptersProblem: string | undefined
  }
  enter(phase: ReplicaState['phase'], message?: string): void
  /** Remembers the state. Rejects when it can't be written. */
  save(): Promise<void>
  /** For what happens whether or not it can be remembered. */
  trySave(): Promise<void>
  /** Takes note that nothing of it runs any more, and when it may be started again. */
  end(failure: Failure): Promise<void>
  /** Ends all processes of the run by these steps. */
  endProcesses(run: RunRecord, steps: readonly StopStep[], signal: AbortSignal): Promise<void>
  /** What the engine wrote last. */
  lastLines(): Promise<readonly string[]>
}

export function createReplicaContext(deps: ReplicaDeps, state: ReplicaState): ReplicaContext {
  const { replica, model } = state.assignment
  const log = deps.log.with({ replica, model })
  let saving: Promise<unknown> = Promise.resolve()

  const enter: ReplicaContext['enter'] = (phase, message) => {
    if (state.phase !== phase) state.sinceMs = deps.clock.now()
    state.phase = phase
    state.message = message
    log.info('replica_phase', { phase, ...(message === undefined ? {} : { message }) })
    deps.changed()
  }
  // One write at a time, each of the state as it then is: an older one can never come last.
  const save = () => {
    const saved = saving.then(() => deps.disk.saveRecord(recordOf(state)))
    saving = saved.catch(() => {})
    return saved
  }
  const trySave = () =>
    save().catch((error: unknown) => log.error('replica_not_recorded', { problem: errorText(error) }))

  return {
    deps,
    log,
    state,
    engine: deps.engineOf(state.assignment.engine),
    live: {
      exited: undefined,
      prepared: undefined,
      memoryKillsBefore: undefined,
      wasReady: false,
      adaptersProblem: undefined,
    },
    enter,
    save,
    trySave,

    async end(failure) {
      const sinceMs = deps.clock.now() - restartWindowMs(state.assignment)
      const recent = state.restartedAtMs.filter((atMs) => atMs > sinceMs).length
      state.failure = failure
      // Spread out, so that what one cause ended at once does not start at once.
      state.retryAtMs = deps.clock.now() + restartDelayMs(recent) * (1 + 0.2 * deps.random())
      state.alive = false
      state.adapters = []
      state.progress = undefined
      log.warn('replica_ended', {
        reason: failure.reason,
        problem: failure.message,
        retryable: failure.retryable,
      })
      enter('idle')
      await trySave()
    },

    async endProcesses(run, steps, signal) {
      deps.endProxied(replica)
      await stopEngine(deps, run, steps, {
        signal,
        onStuck: () => {
          const message = 'it does not end although it was killed: the system holds one of its processes'
          if (state.message !== message) enter(state.phase, message)
        },
      })
      state.alive = false
    },

    async lastLines() {
      const bytes = await deps.logs.tail(replica, 300, 'current').catch(() => undefined)
      return splitLines(`${new TextDecoder().decode(bytes)}\n`).lines
    },
  }
}
