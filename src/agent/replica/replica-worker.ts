import { errorText } from '../../base/errors.ts'
import type { LocalReplica } from '../../decide/reconcile-node.ts'
import type { LocalOccupancy } from '../../domain/node.ts'
import type { Assignment, ReplicaStatus } from '../../domain/replica.ts'
import type { ReplicaRecord } from '../disk/agent-disk.ts'
import type { ProcessId } from '../processes/spawner.ts'
import { adoptReplica } from './adopt-replica.ts'
import { failureFor } from './failures.ts'
import { createReplicaContext, KILL } from './replica-context.ts'
import type { ReplicaDeps } from './replica-deps.ts'
import { localOf, newState, occupancyOf, stateOf, statusOf } from './replica-state.ts'
import { startReplica } from './start-replica.ts'
import { drainReplica, failReplica, stopReplica } from './stop-replica.ts'

/**
 * The one who acts on a replica. What it is told to do it begins at once (the phase changes before the call returns)
 * and does one thing at a time; a later word ends what was begun before. Everything is remembered on disk in such an
 * order that whoever comes after a crash finds the engine or can be sure that there is none.
 */
export interface ReplicaWorker {
  readonly assignment: Assignment
  /** Of its present or last start. */
  runId(): string | undefined
  local(): LocalReplica
  status(node: string): ReplicaStatus
  occupancy(): LocalOccupancy | undefined
  /** Takes over what may change of an assignment while it runs. */
  update(assignment: Assignment): void
  start(): void
  drain(): void
  stop(reason: string): void
  fail(reason: string, message: string): void
  /** Goes on with what an earlier agent began; resolves when it is known whether the engine lives. */
  adopt(found?: ProcessId): Promise<void>
  /** Ends the work and leaves the engine alone. */
  detach(): Promise<void>
  /** Resolves when nothing is under way. */
  settled(): Promise<void>
  /** Removes what is kept on disk about it. */
  forget(): Promise<void>
}

export function createReplicaWorker(from: Assignment | ReplicaRecord, deps: ReplicaDeps): ReplicaWorker {
  const state = 'phase' in from ? stateOf(from) : newState(from, deps.clock.now())
  const context = createReplicaContext(deps, state)
  const detached = new AbortController()
  let task: { readonly abort: AbortController; readonly done: Promise<void> } | undefined

  /** Ends the task under way, and begins another once it has ended. */
  const begin = (work: (signal: AbortSignal) => Promise<void>) => {
    const before = task
    before?.abort.abort()
    const abort = new AbortController()
    const run = async () => {
      await before?.done
      if (abort.signal.aborted) return
      try {
        await work(abort.signal).catch((error: unknown) => recover(error, abort.signal))
      } catch {
        // Ended by the next task (or by the agent's end), which finds the state as it was left.
      } finally {
        deps.changed()
      }
    }
    task = { abort, done: run() }
  }

  /** For what the agent could not do (its disk is full): leaves nothing running that nobody watches. */
  const recover = async (error: unknown, signal: AbortSignal) => {
    signal.throwIfAborted()
    context.log.error('replica_task_failed', { problem: errorText(error) })
    if (state.run && state.alive) await context.endProcesses(state.run, KILL, signal)
    await context.end(failureFor('not_recorded', `the agent could not go on: ${errorText(error)}`))
  }

  const endTask = async () => {
    task?.abort.abort()
    await task?.done
  }

  return {
    get assignment() {
      return state.assignment
    },
    runId: () => state.run?.id,
    local: () => localOf(state),
    status: (node) => statusOf(state, node),
    occupancy: () => occupancyOf(state),

    update({ planVersion, desired, drainTimeoutMs, startTimeoutMs }) {
      const next = { ...state.assignment, planVersion, desired, drainTimeoutMs, startTimeoutMs }
      if (JSON.stringify(next) === JSON.stringify(state.assignment)) return
      state.assignment = next
      void context.trySave()
      deps.changed()
    },

    start() {
      if (state.failure !== undefined || state.run?.process !== undefined) {
        state.restarts++
        state.restartedAtMs = [...state.restartedAtMs, deps.clock.now()].slice(-20)
      }
      state.retryAtMs = undefined
      state.progress = undefined
      state.progressAtMs = undefined
      state.engineVersion = undefined
      context.enter('pulling')
      begin((signal) => startReplica(context, signal))
    },

    drain() {
      state.inFlight = undefined
      context.enter('draining')
      begin((signal) => drainReplica(context, signal))
    },

    stop(reason) {
      // Also when it is only being started: by the time of the stop there may be a process.
      context.enter('stopping', reason)
      begin((signal) => stopReplica(context, reason, signal))
    },

    fail(reason, message) {
      const known = state.failure?.reason === reason ? state.failure : failureFor(reason, message)
      context.enter('stopping', message)
      begin((signal) => failReplica(context, { ...known, message }, signal))
    },

    async adopt(found) {
      const work = await adoptReplica(context, found, detached.signal)
      if (work) begin(work)
      deps.changed()
    },

    async detach() {
      detached.abort()
      await endTask()
    },

    async settled() {
      for (let current = task; current; current = task) {
        await current.done
        if (task === current) return
      }
    },

    async forget() {
      detached.abort()
      await endTask()
      // Whoever forgets an engine that runs leaves one that nobody will ever end.
      if (state.run && state.alive) await context.endProcesses(state.run, KILL, new AbortController().signal)
      await deps.disk.removeRecord(state.assignment.replica)
    },
  }
}
