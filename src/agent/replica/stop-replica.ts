import type { Failure } from '../../domain/replica.ts'
import { countInFlight } from './in-flight.ts'
import { KILL, type ReplicaContext } from './replica-context.ts'

const POLL_MS = 500

/**
 * Counts what a draining engine still serves, so that it can be decided when it has had its time. Ends when it is told
 * to stop, or when the engine leaves by itself.
 */
export async function drainReplica(context: ReplicaContext, signal: AbortSignal): Promise<void> {
  const { deps, state, engine, live } = context
  await context.trySave()
  const exited = (live.exited ?? new Promise<never>(() => {})).then(() => true)
  for (;;) {
    const inFlight = engine && (await countInFlight(deps, engine, state.assignment, signal))
    signal.throwIfAborted()
    if (inFlight !== state.inFlight) {
      state.inFlight = inFlight
      deps.changed()
    }
    const gone = await Promise.race([exited, deps.clock.sleep(POLL_MS, signal).then(() => false)])
    if (gone) return stopReplica(context, 'it ended while it drained', signal)
  }
}

/** Stops by the engine's own steps. `stopped` is said only when no process is left. */
export async function stopReplica(
  context: ReplicaContext,
  reason: string,
  signal: AbortSignal,
): Promise<void> {
  const { state, engine } = context
  if (state.run && state.alive) {
    context.enter('stopping', reason)
    await context.trySave()
    await context.endProcesses(state.run, engine?.stop ?? KILL, signal)
  }
  state.alive = false
  state.adapters = []
  state.inFlight = undefined
  context.enter('stopped', reason)
  await context.trySave()
}

/** Gives up: what still runs is stopped, then it is failed. */
export async function failReplica(
  context: ReplicaContext,
  failure: Failure,
  signal: AbortSignal,
): Promise<void> {
  const { state, engine } = context
  const lines = failure.lastLines.length > 0 ? failure.lastLines : await context.lastLines()
  if (state.run && state.alive) await context.endProcesses(state.run, engine?.stop ?? KILL, signal)
  state.alive = false
  state.adapters = []
  state.failure = { ...failure, lastLines: lines.slice(-30) }
  context.enter('failed')
  await context.trySave()
}
