import type { LocalReplica } from '../../decide/reconcile-node.ts'
import type { LocalOccupancy } from '../../domain/node.ts'
import type { Assignment, Failure, ReplicaPhase, ReplicaStatus } from '../../domain/replica.ts'
import type { ReplicaRecord, RunRecord } from '../disk/agent-disk.ts'

/** All that the agent knows of one replica. Changed by its worker only. */
export interface ReplicaState {
  assignment: Assignment
  phase: LocalReplica['phase']
  sinceMs: number
  /** Starts after the first. */
  restarts: number
  restartedAtMs: readonly number[]
  /** Why it ended last; unset once it is ready again. */
  failure: Failure | undefined
  retryAtMs: number | undefined
  run: RunRecord | undefined
  /** Some process of the run lives. */
  alive: boolean
  adapters: readonly string[]
  engineVersion: string | undefined
  /** Of loading, 0..1, and when it last moved. */
  progress: number | undefined
  progressAtMs: number | undefined
  message: string | undefined
  /** Requests that it still serves while it drains; undefined while unknown. */
  inFlight: number | undefined
}

export function newState(assignment: Assignment, nowMs: number): ReplicaState {
  return {
    assignment,
    phase: 'idle',
    sinceMs: nowMs,
    restarts: 0,
    restartedAtMs: [],
    failure: undefined,
    retryAtMs: undefined,
    run: undefined,
    alive: false,
    adapters: [],
    engineVersion: undefined,
    progress: undefined,
    progressAtMs: undefined,
    message: undefined,
    inFlight: undefined,
  }
}

/** As it was remembered; whether it lives is still to be seen. */
export function stateOf(record: ReplicaRecord): ReplicaState {
  return {
    ...newState(record.assignment, record.sinceMs),
    phase: record.phase,
    restarts: record.restarts,
    restartedAtMs: record.restartedAtMs,
    failure: record.failure,
    retryAtMs: record.retryAtMs,
    run: record.run,
    adapters: record.adapters,
    engineVersion: record.engineVersion,
  }
}

export function recordOf(state: ReplicaState): ReplicaRecord {
  const { assignment, phase, sinceMs, restarts, restartedAtMs, failure, retryAtMs, run, adapters } = state
  return {
    assignment,
    phase,
    sinceMs,
    restarts,
    restartedAtMs: [...restartedAtMs],
    adapters: [...adapters],
    ...(failure === undefined ? {} : { failure }),
    ...(retryAtMs === undefined ? {} : { retryAtMs }),
    ...(run === undefined ? {} : { run }),
    ...(state.engineVersion === undefined ? {} : { engineVersion: state.engineVersion }),
  }
}

/** For the decision. A start that moves forward is as young as its last step. */
export function localOf(state: ReplicaState): LocalReplica {
  const { assignment, phase, sinceMs, restarts, restartedAtMs, alive, failure, retryAtMs, inFlight } = state
  return {
    replica: assignment.replica,
    phase,
    sinceMs: phase === 'starting' ? Math.max(sinceMs, state.progressAtMs ?? 0) : sinceMs,
    restarts,
    restartedAtMs,
    alive,
    holds: assignment,
    ...(failure === undefined ? {} : { failure }),
    ...(retryAtMs === undefined ? {} : { retryAtMs }),
    ...(inFlight === undefined ? {} : { inFlight }),
  }
}

/** For control. */
export function statusOf(state: ReplicaState, node: string): ReplicaStatus {
  const { assignment, failure, progress, run } = state
  const waits = state.phase === 'idle' && failure !== undefined
  const message = waits ? `waits to be started again: ${failure.message}` : state.message
  return {
    replica: assignment.replica,
    node,
    planVersion: assignment.planVersion,
    phase: waits ? 'starting' : PHASES[state.phase],
    sinceMs: state.sinceMs,
    // The restart that it waits for is counted, so that it does not look like a first start.
    restarts: state.restarts + (waits ? 1 : 0),
    adapters: [...state.adapters],
    ...(state.alive && run?.process ? { pid: run.process.pid } : {}),
    ...(state.engineVersion === undefined ? {} : { engineVersion: state.engineVersion }),
    ...(progress === undefined || state.phase !== 'starting' ? {} : { progress }),
    ...(message === undefined ? {} : { message }),
    ...(failure === undefined ? {} : { failure }),
  }
}

/** What it holds of the machine, from before its start until nothing of it is left. */
export function occupancyOf(state: ReplicaState): LocalOccupancy | undefined {
  const { assignment } = state
  if (!state.alive && !['pulling', 'starting', 'draining', 'stopping'].includes(state.phase)) return undefined
  return {
    replica: assignment.replica,
    deviceIds: assignment.deviceIds,
    bytesPerDevice: assignment.bytesPerDevice,
    hostMemoryBytes: assignment.hostMemoryBytes,
    port: assignment.port,
  }
}

const PHASES: Readonly<Record<LocalReplica['phase'], ReplicaPhase>> = {
  idle: 'pending',
  pulling: 'pulling',
  starting: 'starting',
  ready: 'ready',
  unhealthy: 'unhealthy',
  draining: 'draining',
  stopping: 'draining',
  stopped: 'stopped',
  failed: 'failed',
}
