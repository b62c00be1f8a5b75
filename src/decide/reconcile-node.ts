import type { Assignment, Failure } from '../domain/replica.ts'
import type { Reconciled } from './model-view.ts'

/** A replica as its agent has it: what was recorded on disk and what the processes show. */
export interface LocalReplica {
  readonly replica: string
  readonly phase:
    | 'idle'
    | 'pulling'
    | 'starting'
    | 'ready'
    | 'unhealthy'
    | 'draining'
    | 'stopping'
    | 'stopped'
    | 'failed'
  readonly sinceMs: number
  /** Starts after the first. */
  readonly restarts: number
  /** When it was restarted, oldest first; the latest will do. Absent: every restart counts as recent. */
  readonly restartedAtMs?: readonly number[]
  readonly alive: boolean
  readonly failure?: Failure
  /** When the next start may be tried. Set it with `restartDelayMs` when a process ends unasked. */
  readonly retryAtMs?: number
  /** Requests that it still serves, when the agent knows. */
  readonly inFlight?: number
  /** What it takes of the machine while anything of it runs. */
  readonly holds?: Held
}

/** What a replica that runs takes of its machine. */
export type Held = Pick<Assignment, 'deviceIds' | 'bytesPerDevice' | 'port'>

export type NodeAction =
  | { readonly kind: 'start'; readonly replica: string }
  | { readonly kind: 'drain'; readonly replica: string }
  | { readonly kind: 'stop'; readonly replica: string; readonly reason: string }
  /** Give it up: record it as failed. A process that is still alive is stopped. */
  | { readonly kind: 'fail'; readonly replica: string; readonly reason: string; readonly message: string }
  /** Drop what is kept on disk about it. */
  | { readonly kind: 'forget'; readonly replica: string }

export interface NodeDecisionInput {
  readonly desired: readonly Assignment[]
  readonly actual: readonly LocalReplica[]
  /** False until control has answered once since the agent started: then nothing is stopped for not being desired. */
  readonly desiredKnown: boolean
  /** Memory of each device, by id; one that is not here is not counted. */
  readonly deviceBytes?: Readonly<Record<string, number>>
  readonly nowMs: number
}

export type NodeDecision = Reconciled<NodeAction>

/** Restarts within `restartWindowMs` before a replica is given up. */
export const MAX_RESTARTS = 5
/** A draining replica is kept at least this long, so that gateways have heard before it goes. */
export const DRAIN_SETTLE_MS = 5_000

/** Wait before a restart: 1 s after the first end, then 5 s doubling to 5 min. */
export function restartDelayMs(restarts: number): number {
  return restarts === 0 ? 1_000 : Math.min(300_000, 5_000 * 2 ** (restarts - 1))
}

/** Long enough that a replica which takes its whole start timeout each time still comes to `MAX_RESTARTS`. */
export function restartWindowMs({ startTimeoutMs }: Pick<Assignment, 'startTimeoutMs'>): number {
  return 1_800_000 + (MAX_RESTARTS + 1) * startTimeoutMs
}

/**
 * What a node does next, at most one thing for each replica. It starts what is wanted and not there, restarts what
 * ended (after its backoff, and not for ever), drains and then stops what is to stop, and stops and forgets what
 * nobody wants. A replica that drains or stops is never started; nothing is given up without a reason. A start waits
 * until what it needs has been left by whatever else runs here: control may have given the room of a replica away
 * before this node heard of it.
 */
export function reconcileNode(input: NodeDecisionInput): NodeDecision {
  const { desired, actual, desiredKnown, nowMs } = input
  const local = new Map(actual.map((one) => [one.replica, one]))
  const wanted = new Map<string, Assignment>()
  for (const assignment of desired) {
    // Told both ways, it stops: an intent never goes back to `run`.
    if (wanted.get(assignment.replica)?.desired !== 'stop') wanted.set(assignment.replica, assignment)
  }
  const steps = [...wanted.values()].map((assignment) => {
    const one = local.get(assignment.replica)
    return assignment.desired === 'run'
      ? keepRunning(assignment, one, nowMs)
      : bringDown(assignment, one, nowMs)
  })
  if (desiredKnown) {
    for (const one of local.values()) if (!wanted.has(one.replica)) steps.push(clearAway(one))
  }
  const holders = actual
    .filter(isHolding)
    .flatMap(({ replica, holds }) => (holds ? [{ replica, ...holds }] : []))
  const actions = steps
    .flatMap(({ action }) => action ?? [])
    .filter((action) => {
      const assignment = action.kind === 'start' ? wanted.get(action.replica) : undefined
      if (assignment === undefined) return true
      if (!hasRoom(assignment, holders, input.deviceBytes ?? {})) return false
      holders.push(assignment)
      return true
    })
  const wakeAtMs = Math.min(...steps.flatMap((step) => step.wakeAtMs ?? []))
  return { actions, ...(Number.isFinite(wakeAtMs) ? { wakeAtMs } : {}) }
}

interface Step {
  readonly action?: NodeAction
  readonly wakeAtMs?: number
}

const NOTHING: Step = {}

function isHolding({ alive, phase }: LocalReplica): boolean {
  return alive || ['pulling', 'starting', 'draining', 'stopping'].includes(phase)
}

function hasRoom(
  ask: Held & { readonly replica: string },
  holders: readonly (Held & { readonly replica: string })[],
  deviceBytes: Readonly<Record<string, number>>,
): boolean {
  const others = holders.filter(({ replica }) => replica !== ask.replica)
  if (others.some(({ port }) => port === ask.port)) return false
  return ask.deviceIds.every((id) => {
    const haveBytes = Object.hasOwn(deviceBytes, id) ? deviceBytes[id] : undefined
    const on = others.filter(({ deviceIds }) => deviceIds.includes(id))
    const heldBytes = on.reduce((sum, { bytesPerDevice }) => sum + bytesPerDevice, 0)
    // What nobody else holds is for the engine itself to find too small.
    return haveBytes === undefined || heldBytes === 0 || heldBytes + ask.bytesPerDevice <= haveBytes
  })
}

function keepRunning(assignment: Assignment, one: LocalReplica | undefined, nowMs: number): Step {
  const { replica } = assignment
  if (one === undefined) return { action: { kind: 'start', replica } }
  switch (one.phase) {
    case 'failed':
    case 'draining':
    case 'stopping':
    case 'pulling':
      return NOTHING
    case 'starting':
      return one.alive ? awaitStart(assignment, one, nowMs) : startAgain(assignment, one, nowMs)
    default:
      return one.alive ? NOTHING : startAgain(assignment, one, nowMs)
  }
}

function awaitStart({ replica, startTimeoutMs }: Assignment, one: LocalReplica, nowMs: number): Step {
  const deadlineMs = one.sinceMs + startTimeoutMs
  if (nowMs < deadlineMs) return { wakeAtMs: deadlineMs }
  const message = `not ready ${startTimeoutMs / 1000} s after its start; see its logs, or give it a longer startTimeoutMs`
  return { action: { kind: 'fail', replica, reason: 'start_timeout', message } }
}

function startAgain(assignment: Assignment, one: LocalReplica, nowMs: number): Step {
  const { replica } = assignment
  const { failure } = one
  if (failure?.retryable === false) {
    return { action: { kind: 'fail', replica, reason: failure.reason, message: failure.message } }
  }
  // The port is part of the placement: only another placement has another one.
  if (failure?.reason === 'port_in_use') {
    return { action: { kind: 'fail', replica, reason: failure.reason, message: failure.message } }
  }
  const sinceMs = nowMs - restartWindowMs(assignment)
  const restarts = one.restartedAtMs?.filter((atMs) => atMs > sinceMs).length ?? one.restarts
  if (restarts >= MAX_RESTARTS) {
    const why = failure === undefined ? 'it ended each time' : failure.message
    const message = `given up after ${restarts} restarts: ${why}`
    return { action: { kind: 'fail', replica, reason: failure?.reason ?? 'exited', message } }
  }
  if (one.retryAtMs !== undefined && nowMs < one.retryAtMs) return { wakeAtMs: one.retryAtMs }
  return { action: { kind: 'start', replica } }
}

function bringDown(assignment: Assignment, one: LocalReplica | undefined, nowMs: number): Step {
  if (one === undefined || one.phase === 'stopped' || one.phase === 'failed' || one.phase === 'stopping') {
    return NOTHING
  }
  const { replica, drainTimeoutMs } = assignment
  const stop = (reason: string): Step => ({ action: { kind: 'stop', replica, reason } })
  if (!one.alive) return stop('stop_wanted')
  if (one.phase === 'ready' || one.phase === 'unhealthy') {
    return drainTimeoutMs > 0 ? { action: { kind: 'drain', replica } } : stop('stop_wanted')
  }
  if (one.phase !== 'draining') return stop('stop_wanted')
  const deadlineMs = one.sinceMs + drainTimeoutMs
  const settledMs = Math.min(deadlineMs, one.sinceMs + DRAIN_SETTLE_MS)
  if (nowMs >= deadlineMs) return stop(one.inFlight === 0 ? 'drained' : 'drain_timeout')
  if (one.inFlight !== 0) return { wakeAtMs: deadlineMs }
  return nowMs >= settledMs ? stop('drained') : { wakeAtMs: settledMs }
}

/** For what is not desired: control has forgotten it, so no gateway sends anything to it. */
function clearAway(one: LocalReplica): Step {
  const { replica } = one
  if (one.phase === 'stopping') return NOTHING
  if (!one.alive && one.phase !== 'pulling') return { action: { kind: 'forget', replica } }
  return { action: { kind: 'stop', replica, reason: 'not_desired' } }
}
