import type { Exit } from '../../engines/engine.ts'
import type { RunRecord } from '../disk/agent-disk.ts'
import type { ProcessId } from '../processes/spawner.ts'
import { failureFor } from './failures.ts'
import { KILL, type ReplicaContext } from './replica-context.ts'
import { afterExit, watchReplica } from './start-replica.ts'
import { drainReplica, stopReplica } from './stop-replica.ts'

/** How often a process that is no child of ours is looked at. */
const POLL_MS = 500

/** What to go on with; undefined when nothing is to be done. */
export type AdoptedTask = ((signal: AbortSignal) => Promise<void>) | undefined

/**
 * Finds out what became of a replica while no agent watched, and what is to be done now. `found` is the process that
 * carries its run's mark. An engine that lives is left as it is: a ready one stays ready until a probe says otherwise.
 */
export async function adoptReplica(
  context: ReplicaContext,
  found: ProcessId | undefined,
  detached: AbortSignal,
): Promise<AdoptedTask> {
  const { deps, state, live } = context
  if (state.run && !state.run.process && found) state.run = { ...state.run, process: found }
  const { run } = state
  if (!run) {
    if (state.phase === 'stopping') state.phase = 'stopped'
    else if (state.phase !== 'stopped' && state.phase !== 'failed') state.phase = 'idle'
    return undefined
  }
  state.alive = (await deps.spawner.members(run)).length > 0
  const { process } = run
  const firstLives = process !== undefined && (await deps.spawner.isAlive(process))
  context.log.info('replica_adopted', { phase: state.phase, alive: firstLives })
  switch (state.phase) {
    case 'stopping':
      return (signal) => stopReplica(context, 'stop_wanted', signal)
    case 'idle':
    case 'stopped':
    case 'failed':
      return state.alive ? (signal) => context.endProcesses(run, KILL, signal) : undefined
    case 'draining':
      if (firstLives) live.exited = untilGone(context, process, detached)
      return firstLives
        ? (signal) => drainReplica(context, signal)
        : (signal) => stopReplica(context, 'it ended while it drained', signal)
    default:
  }
  if (firstLives) {
    if (state.phase === 'pulling') state.phase = 'starting'
    live.exited = untilGone(context, process, detached)
    return (signal) => watchReplica(context, run, signal)
  }
  if (process === undefined && !state.alive) {
    // The agent ended between its note and the spawn: nothing was started.
    state.run = undefined
    state.phase = 'idle'
    return undefined
  }
  // Until it is judged, nothing else may begin: a start would be taken for ended when the judgement comes.
  state.alive = true
  return (signal) => endedUnseen(context, run, signal)
}

async function endedUnseen(context: ReplicaContext, run: RunRecord, signal: AbortSignal): Promise<void> {
  const { deps, state, live } = context
  live.wasReady = state.phase === 'ready' || state.phase === 'unhealthy'
  if (run.process && run.process.bootId !== (await deps.spawner.bootId())) {
    return context.end(failureFor('node_restarted', 'the machine was restarted'))
  }
  return afterExit(context, run, {}, signal)
}

/** The end of a process that an earlier agent started: the system tells that it is gone, not how it ended. */
async function untilGone(context: ReplicaContext, process: ProcessId, detached: AbortSignal): Promise<Exit> {
  const { spawner, clock } = context.deps
  // A look that fails tells nothing, and nothing must not be taken for gone.
  while (await spawner.isAlive(process).catch(() => true)) {
    await clock.sleep(POLL_MS, detached).catch(() => {})
    // Nobody watches any more, and "gone" must not be told of a process that lives.
    if (detached.aborted) return new Promise(() => {})
  }
  return {}
}
