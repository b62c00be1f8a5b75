import type { ModelPhase, ModelStatus, Rejection } from '../domain/model.ts'
import type { ModelView, ReplicaView } from './model-view.ts'
import { fateOf } from './replacement.ts'
import { byAge, failureOf, standingOf } from './replica-standing.ts'

/** The replicas of a model once the actions just decided are done. */
export interface AfterActions {
  /** Meant to run. */
  readonly running: readonly ReplicaView[]
  /** How many have yet to end. */
  readonly ending: number
  /** How many are being made. */
  readonly created: number
  readonly nowMs: number
}

/**
 * What to tell about a model: one phase and the one reason that matters most. The text holds no times and no
 * progress, so that it changes only when something did.
 */
export function modelStatus(view: ModelView, after: AfterActions): ModelStatus {
  const { model, revision } = view
  const counts = countsOf(view, after)
  const told = model.deletedAtMs === undefined ? tell(view, after, counts) : deleting(after.ending)
  return {
    name: model.name,
    observedGeneration: model.generation,
    phase: told.phase,
    desiredReplicas: counts.wanted,
    readyReplicas: counts.ready,
    updatedReplicas: counts.updated,
    revision,
    ...(told.reason === undefined ? {} : { reason: told.reason }),
    ...(told.message === undefined ? {} : { message: told.message }),
    rejections: [...(told.rejections ?? [])],
  }
}

interface Told {
  readonly phase: ModelPhase
  readonly reason?: string
  readonly message?: string
  readonly rejections?: readonly Rejection[]
}

interface Counts {
  readonly wanted: number
  readonly ready: number
  /** Ready and of the present revision. */
  readonly updated: number
  /** Of the present revision and on a node. */
  readonly placed: number
  /** Of other revisions, meant to run. */
  readonly old: number
}

function countsOf({ model, revision }: ModelView, { running }: AfterActions): Counts {
  const ready = running.filter((one) => standingOf(one) === 'ready')
  const present = running.filter(({ replica }) => replica.revision === revision)
  return {
    wanted: model.deletedAtMs === undefined ? model.spec.replicas : 0,
    ready: ready.length,
    updated: ready.filter(({ replica }) => replica.revision === revision).length,
    placed: present.filter((one) => !['unplaced', 'failed'].includes(standingOf(one))).length,
    old: running.length - present.length,
  }
}

/** The first that has something to say, worst first. */
function tell(view: ModelView, after: AfterActions, counts: Counts): Told {
  if (counts.wanted === 0) return stopping(after.ending)
  if (counts.updated >= counts.wanted && counts.old === 0) return { phase: 'ready' }
  const present = after.running.filter(({ replica }) => replica.revision === view.revision).sort(byAge)
  return (
    failedForGood(present, after, counts) ??
    blocked(view, counts) ??
    nothingFits(present, counts) ??
    failedForNow(present, counts) ??
    notServing(view, after, counts) ??
    rollingOut(view, counts) ??
    comingUp(present, counts)
  )
}

function deleting(ending: number): Told {
  const message = ending > 0 ? `waiting for ${replicas(ending)} to end` : 'nothing of it is left'
  return { phase: 'deleting', reason: 'deleting', message }
}

function stopping(ending: number): Told {
  if (ending === 0) return { phase: 'stopped' }
  return { phase: 'progressing', reason: 'stopping', message: `waiting for ${replicas(ending)} to end` }
}

function failedForGood(
  present: readonly ReplicaView[],
  { nowMs, created }: AfterActions,
  counts: Counts,
): Told | undefined {
  const failed = present.find((one) => standingOf(one) === 'failed' && fateOf(one, nowMs).kind === 'final')
  if (failed === undefined) return undefined
  const hope = created > 0 || present.some((one) => !['failed', 'ready'].includes(standingOf(one)))
  const phase = counts.ready > 0 ? 'degraded' : hope ? 'progressing' : 'failed'
  return { phase, ...failureText(failed, '') }
}

function failedForNow(present: readonly ReplicaView[], counts: Counts): Told | undefined {
  const failed = present.find((one) => standingOf(one) === 'failed')
  if (failed === undefined) return undefined
  const phase = counts.ready > 0 ? 'degraded' : 'progressing'
  return { phase, ...failureText(failed, '; another replica takes its place') }
}

function failureText(view: ReplicaView, then: string): { reason: string; message: string } {
  const { reason, message } = failureOf(view)
  const where = view.node === undefined ? '' : ` on ${view.node}`
  return { reason, message: `${view.replica.name}${where}: ${message}${then}` }
}

function blocked({ blocked: why }: ModelView, counts: Counts): Told | undefined {
  if (why === undefined) return undefined
  const { reason, message } = why
  if (counts.ready > 0) {
    return { phase: why.final || counts.ready < counts.wanted ? 'degraded' : 'progressing', reason, message }
  }
  return { phase: why.final ? 'failed' : counts.placed > 0 ? 'progressing' : 'pending', reason, message }
}

function nothingFits(present: readonly ReplicaView[], counts: Counts): Told | undefined {
  const stuck = present.filter((one) => standingOf(one) === 'unplaced' && one.rejections !== undefined)
  const rejections = stuck[0]?.rejections
  if (rejections === undefined) return undefined
  const why = rejectedText(rejections)
  if (counts.old > 0) {
    const message = `no room for ${replicas(stuck.length)} of the new revision beside the old ones: ${why}`
    const phase = counts.ready >= counts.wanted ? 'progressing' : 'degraded'
    return { phase, reason: 'rollout_no_room', message, rejections }
  }
  const phase = counts.ready > 0 ? 'degraded' : counts.placed > 0 ? 'progressing' : 'pending'
  const message = `no place for ${stuck.length} of ${replicas(counts.wanted)}: ${why}`
  return { phase, reason: 'nothing_fits', message, rejections }
}

function rejectedText(rejections: readonly Rejection[]): string {
  const [first, ...others] = rejections
  if (first === undefined) return 'there is no node; join one with `yard agent`'
  if (others.length === 0) return first.message
  const nodes = new Set(rejections.map(({ node }) => node)).size
  const reasons = [...new Set(rejections.map(({ reason }) => reason))].sort()
  return `${nodes === 1 ? first.node : `none of ${nodes} nodes`} ${nodes === 1 ? 'cannot take it' : 'can take it'} (${reasons.join(', ')})`
}

/** Something that served, or may serve, does not. */
function notServing(view: ModelView, { running }: AfterActions, counts: Counts): Told | undefined {
  if (counts.ready >= counts.wanted) return undefined
  const lost = running.filter((one) => standingOf(one) === 'lost')
  if (lost.length > 0) {
    const nodes = [...new Set(lost.flatMap(({ node }) => node ?? []))].sort().join(', ')
    return view.suspectSelf
      ? {
          phase: 'degraded',
          reason: 'suspect_self',
          message: `many nodes stopped reporting at once (${nodes}); the fault is likely in the server or its network, so nothing is moved`,
        }
      : { phase: 'degraded', reason: 'node_lost', message: `no report from ${nodes}` }
  }
  const shaky = [...running].sort(byAge).find((one) => standingOf(one) === 'shaky')
  if (shaky === undefined) return undefined
  const { replica, node, status } = shaky
  const where = `${replica.name}${node === undefined ? '' : ` on ${node}`}`
  if (status?.phase === 'unhealthy' || status?.phase === 'draining') {
    const what = status.phase === 'draining' ? 'is draining' : 'does not answer its health check'
    return { phase: 'degraded', reason: status.phase, message: `${where} ${what}` }
  }
  const phase = counts.ready > 0 ? 'degraded' : 'progressing'
  const { failure } = status ?? {}
  return failure === undefined
    ? { phase, reason: 'restarting', message: `${where} is being restarted` }
    : { phase, reason: failure.reason, message: `${where} is being restarted: ${failure.message}` }
}

function rollingOut({ revision }: ModelView, counts: Counts): Told | undefined {
  if (counts.old === 0) return undefined
  const message = `${counts.updated} of ${replicas(counts.wanted)} run ${revision}; ${counts.old} run an older revision`
  return { phase: 'progressing', reason: 'rollout', message }
}

function comingUp(present: readonly ReplicaView[], counts: Counts): Told {
  const message = `${counts.ready} of ${replicas(counts.wanted)} are ready`
  if (counts.placed === 0) return { phase: 'pending', reason: 'scheduling', message }
  const phases = present.map(({ status }) => status?.phase)
  const pulling = phases.includes('pulling') && !phases.includes('starting')
  const coming = counts.placed > counts.updated
  return { phase: 'progressing', reason: !coming ? 'scheduling' : pulling ? 'pulling' : 'starting', message }
}

function replicas(count: number): string {
  return `${count} ${count === 1 ? 'replica' : 'replicas'}`
}
