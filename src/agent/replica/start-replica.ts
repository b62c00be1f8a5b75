import { errorText } from '../../base/errors.ts'
import type { Engine, Exit } from '../../engines/engine.ts'
import type { RunRecord } from '../disk/agent-disk.ts'
import { untilAborted } from '../until-aborted.ts'
import { failureFor, judgedFailure } from './failures.ts'
import { prepareLaunch } from './prepare-launch.ts'
import { KILL, type ReplicaContext } from './replica-context.ts'
import { loadAdapters } from './runtime-adapters.ts'
import { type Watch, type WatchEnd, watchEngine } from './watch-engine.ts'

/**
 * Starts an engine and watches it to its end. The run is on disk before its process exists, and again with the process
 * right after: whoever comes after a crash finds the process by record or by its mark, or knows that there is none.
 */
export async function startReplica(context: ReplicaContext, signal: AbortSignal): Promise<void> {
  const { deps, state, live } = context
  const { replica } = state.assignment
  const prepared = await untilAborted(signal, prepareLaunch(state.assignment, deps))
  if (prepared.kind === 'failed') return context.end(prepared.failure)
  live.prepared = prepared
  const logPath = await deps.logs.begin(replica)
  const workDir = await deps.disk.workDir(replica)
  const run: RunRecord = { id: deps.newId(), logPath, startedAtMs: deps.clock.now() }
  state.run = run
  await context.save()
  live.memoryKillsBefore = await deps.spawner.memoryKills()
  signal.throwIfAborted()
  const result = await deps.spawner.spawn({
    runId: run.id,
    replica,
    agentId: deps.agentId,
    command: prepared.command,
    inherited: deps.inherited,
    workDir,
    logPath,
  })
  if (result.kind === 'failed') return context.end(failureFor(result.reason, result.message))
  // There is a process now: nothing may come between it and its record.
  state.run = { ...run, process: result.process }
  state.alive = true
  live.exited = result.exited
  context.enter('starting')
  await context.trySave()
  await watchReplica(context, state.run, signal)
}

/** Watches a run, started or adopted, until it ends or is ended because it hangs. */
export async function watchReplica(
  context: ReplicaContext,
  run: RunRecord,
  signal: AbortSignal,
): Promise<void> {
  const { deps, state, engine, live } = context
  if (!engine || !live.exited) throw new TypeError('there is nothing to watch')
  live.wasReady = state.phase !== 'starting'
  const watch: Watch = {
    deps,
    state,
    engine,
    exited: live.exited,
    signal,
    onReady: () => becomeReady(context, engine, signal),
    async enter(phase) {
      if (phase === 'ready') {
        live.wasReady = true
        state.failure = undefined
        state.progress = undefined
      }
      context.enter(phase, phase === 'ready' ? live.adaptersProblem : 'it does not answer its health checks')
      await context.trySave()
    },
  }
  const end = await watchUntilEnd(watch, context)
  if (end.kind === 'exited') return afterExit(context, run, end.exit, signal)
  context.enter('stopping', end.message)
  const lines = await context.lastLines()
  await context.endProcesses(run, KILL, signal)
  await context.end(failureFor('hung', end.message, lines))
}

/** A fault of the agent's own is no reason to lose sight of an engine, let alone to end it. */
async function watchUntilEnd(watch: Watch, { log, deps }: ReplicaContext): Promise<WatchEnd> {
  for (;;) {
    try {
      return await watchEngine(watch)
    } catch (error) {
      watch.signal.throwIfAborted()
      log.error('replica_watch_failed', { problem: errorText(error) })
      await deps.clock.sleep(REWATCH_MS, watch.signal)
    }
  }
}

const REWATCH_MS = 5_000

/** Ends what the first process left behind, and says why it ended. */
export async function afterExit(
  context: ReplicaContext,
  run: RunRecord,
  exit: Exit,
  signal: AbortSignal,
): Promise<void> {
  const { deps, engine, live } = context
  if ((await deps.spawner.members(run)).length > 0) {
    context.enter('stopping', 'its first process has ended; the others are being ended')
    await context.endProcesses(run, KILL, signal)
  }
  const kills = (await deps.spawner.memoryKills()) ?? 0
  const memoryKills = live.memoryKillsBefore === undefined ? 0 : kills - live.memoryKillsBefore
  const lines = await context.lastLines()
  const failure = engine?.classify(exit, lines) ?? failureFor('exited', 'the engine ended', lines)
  await context.end(judgedFailure(failure, { memoryKills, wasReady: live.wasReady }))
}

/** What is to be done between an engine's first sign of readiness and its being told ready. */
async function becomeReady(context: ReplicaContext, engine: Engine, signal: AbortSignal): Promise<void> {
  const { deps, state, live } = context
  const { assignment } = state
  if (engine.version) {
    state.engineVersion = engine.version.read(await deps.http(assignment, engine.version.call, signal))
  }
  live.adaptersProblem = undefined
  if (assignment.adapters.length === 0) return
  live.prepared ??= await untilAborted(signal, prepareLaunch(assignment, deps, { running: true }))
  const { prepared } = live
  const { loaded, problem } =
    prepared.kind === 'prepared'
      ? await loadAdapters({ ...deps, signal }, engine, prepared.launch, prepared.command)
      : { loaded: [], problem: prepared.failure.message }
  state.adapters = loaded
  live.adaptersProblem = problem
}
