import type { ModelStatus } from '../domain/model.ts'
import { modelStatus } from './model-status.ts'
import type { ModelAction, ModelView, Reconciled, ReplicaView } from './model-view.ts'
import { fateOf, REPLACE_FAILED } from './replacement.ts'
import { byAge, byWorth, standingOf } from './replica-standing.ts'

export type { ModelAction, ModelView, Reconciled, ReplicaView } from './model-view.ts'

export interface ModelDecision extends Reconciled<ModelAction> {
  readonly status: ModelStatus
}

/** A node that has not reported for this long is given up, and its replicas are made anew elsewhere. */
export const NODE_LOST_GRACE_MS = 30_000
/** So long a replica of a new revision looks for room beside the old ones before one of those makes room. */
export const ROLLOUT_NO_ROOM_MS = 60_000

/** True when so many nodes are lost at once that the observer, not they, is likely at fault: then evict nothing. */
export function suspectSelf(lostCount: number, knownCount: number): boolean {
  return lostCount >= 2 && lostCount * 2 > knownCount
}

/**
 * What to do next for one model, and what to tell about it.
 * 1. Forget what has ended: stopped as asked, gone with its node, or lost for longer than the grace.
 * 2. Deleted, or no replicas wanted: stop all.
 * 3. Too many of the present revision: stop the least useful.
 * 4. Another revision: new ones first, at most one more than wanted; an old one goes when enough others are ready,
 *    or after a while when its leaving is what gives the new one room.
 * 5. Too few: make some; in place of a failed one at most once (see `fateOf`).
 * Applying the actions and asking again yields no more of them.
 */
export function reconcileModel(
  given: ModelView,
  nowMs: number,
  nodeLostGraceMs = NODE_LOST_GRACE_MS,
): ModelDecision {
  const external = given.model.spec.engine === 'external'
  const view = {
    ...given,
    replicas: given.replicas.map((one) => ({
      unmanaged: external && one.node === undefined && one.status === undefined,
      ...one,
    })),
  }
  const pass: Pass = { view, nowMs, actions: [], wakes: [], gone: new Set(), stopped: new Set() }
  const lost = forgetEnded(pass, nodeLostGraceMs)
  const wanted = view.model.deletedAtMs === undefined ? view.model.spec.replicas : 0
  if (wanted === 0) stopAll(pass)
  else reachCount(pass, wanted, lost)
  if (view.model.deletedAtMs !== undefined && pass.gone.size === view.replicas.length) {
    pass.actions.push({ kind: 'remove_model' })
  }
  const created = pass.actions.filter(({ kind }) => kind === 'create').length
  const left = view.replicas.filter(({ replica }) => !pass.gone.has(replica.name))
  const wakeAtMs = Math.min(
    ...pass.wakes.flatMap(({ replica, atMs }) => (pass.gone.has(replica) ? [] : atMs)),
  )
  return {
    actions: pass.actions,
    status: modelStatus(view, {
      running: left.filter(({ replica }) => isMeantToRun(pass, replica)),
      ending: left.filter(({ replica }) => !isMeantToRun(pass, replica)).length,
      created,
      nowMs,
    }),
    ...(Number.isFinite(wakeAtMs) ? { wakeAtMs } : {}),
  }
}

/** One run of `reconcileModel`: what it has decided so far. */
interface Pass {
  readonly view: ModelView
  readonly nowMs: number
  readonly actions: ModelAction[]
  /** Times to look again, each as long as that replica is there. */
  readonly wakes: { readonly replica: string; readonly atMs: number }[]
  readonly gone: Set<string>
  readonly stopped: Set<string>
}

function isMeantToRun(pass: Pass, replica: ReplicaView['replica']): boolean {
  return replica.intent === 'run' && !pass.gone.has(replica.name) && !pass.stopped.has(replica.name)
}

function running(pass: Pass): ReplicaView[] {
  return pass.view.replicas.filter(({ replica }) => isMeantToRun(pass, replica)).sort(byAge)
}

function forget(pass: Pass, { replica }: ReplicaView, reason: string): void {
  pass.gone.add(replica.name)
  pass.actions.push({ kind: 'forget', replica: replica.name, reason })
}

/** Stops a replica, or forgets it at once when there is nothing that its node would have to end. */
function letGo(pass: Pass, view: ReplicaView, reason: string): void {
  if (hasEnded(view)) {
    forget(pass, view, reason)
    return
  }
  pass.stopped.add(view.replica.name)
  pass.actions.push({ kind: 'stop', replica: view.replica.name, reason })
}

function hasEnded({ node, status }: ReplicaView): boolean {
  return node === undefined || status?.phase === 'stopped' || status?.phase === 'failed'
}

/** Returns how many of the present revision that should run were lost with their node. */
function forgetEnded(pass: Pass, nodeLostGraceMs: number): number {
  let lost = 0
  for (const view of pass.view.replicas) {
    const { replica, nodeGone, nodeLostSinceMs } = view
    const lostAtMs =
      nodeLostSinceMs === undefined || pass.view.suspectSelf ? undefined : nodeLostSinceMs + nodeLostGraceMs
    const keepsRecord = replica.intent === 'run' && standingOf(view) === 'failed'
    if (nodeGone) {
      forget(pass, view, 'node_gone')
    } else if (replica.intent === 'stop' && hasEnded(view)) {
      forget(pass, view, 'stopped')
    } else if (lostAtMs !== undefined && !keepsRecord) {
      if (lostAtMs > pass.nowMs) pass.wakes.push({ replica: replica.name, atMs: lostAtMs })
      else forget(pass, view, 'node_lost')
    }
    if (pass.gone.has(replica.name) && replica.intent === 'run' && replica.revision === pass.view.revision) {
      lost++
    }
  }
  return lost
}

function stopAll(pass: Pass): void {
  const reason = pass.view.model.deletedAtMs === undefined ? 'unload' : 'model_deleted'
  for (const view of running(pass)) letGo(pass, view, reason)
}

function reachCount(pass: Pass, wanted: number, lost: number): void {
  const present = running(pass).filter(({ replica }) => replica.revision === pass.view.revision)
  const { holding, toReplace, remembered } = sortOut(pass, present)
  // What is to be replaced gives way first: it holds nothing that serves.
  while (toReplace.length > 0 && holding.length + toReplace.length > wanted) {
    const [spare] = toReplace.splice(-1)
    if (spare) letGo(pass, spare, 'scale_down')
  }
  const excess = holding.length - wanted
  if (excess > 0) {
    for (const view of [...holding].sort(byWorth).slice(0, excess)) letGo(pass, view, 'scale_down')
  }
  const kept = holding.filter(({ replica }) => isMeantToRun(pass, replica))
  const old = retireOld(pass, wanted, kept)
  const whole = kept.filter((view) => standingOf(view) === 'ready').length >= wanted
  for (const view of whole ? remembered : remembered.slice(0, -wanted)) forget(pass, view, 'replaced')
  if (pass.view.blocked) return
  const missing = wanted - kept.length
  // Beside old ones, another would find no room where one has found none.
  const stuck = kept.some((view) => standingOf(view) === 'unplaced' && view.rejections !== undefined)
  const room = old === 0 ? missing : stuck ? 0 : wanted + 1 - kept.length - old
  create(pass, Math.min(missing, room), { toReplace, remembered: remembered.length, lost })
}

/** `holding` take one of the wanted places each; the others leave theirs to a replacement. */
function sortOut(pass: Pass, present: readonly ReplicaView[]) {
  const holding: ReplicaView[] = []
  const toReplace: ReplicaView[] = []
  const remembered: ReplicaView[] = []
  for (const view of present) {
    const fate = standingOf(view) === 'failed' ? fateOf(view, pass.nowMs) : undefined
    if (fate?.kind === 'replace') toReplace.push(view)
    else if (fate?.kind === 'remember') remembered.push(view)
    else holding.push(view)
    if (fate?.kind === 'waits') pass.wakes.push({ replica: view.replica.name, atMs: fate.atMs })
  }
  return { holding, toReplace, remembered }
}

/** Lets go of replicas of other revisions as far as that takes no service away. Returns how many stay. */
function retireOld(pass: Pass, wanted: number, present: readonly ReplicaView[]): number {
  const isOld = ({ replica }: ReplicaView) => replica.revision !== pass.view.revision
  let ready = present.filter((view) => standingOf(view) === 'ready').length
  const old = running(pass).filter(isOld).sort(byWorth)
  for (const view of old) if (standingOf(view) === 'ready') ready++
  for (const view of old) {
    const standing = standingOf(view)
    const neverServed = standing === 'unplaced' || standing === 'coming'
    const left = standing === 'ready' ? ready - 1 : ready
    if (standing === 'failed' || (neverServed && !pass.view.blocked) || left >= wanted) {
      ready = left
      letGo(pass, view, 'rollout')
    }
  }
  makeRoom(pass, wanted, present, ready)
  return running(pass).filter(isOld).length
}

/**
 * Stops one old replica when nothing else has given a new one room for a while: one that does not serve, or else one
 * while all that is wanted is ready, so that the model never goes lower than one below.
 */
function makeRoom(pass: Pass, wanted: number, present: readonly ReplicaView[], ready: number): void {
  const { view, nowMs } = pass
  if (view.blocked || view.suspectSelf) return
  const stuck = present.find((one) => standingOf(one) === 'unplaced' && one.rejections !== undefined)
  const freedBy = new Set(stuck?.rejections?.flatMap((rejection) => rejection.freedBy ?? []))
  const names = new Set(running(pass).map(({ replica }) => replica.name))
  // One of them is going, or has gone since the scheduler looked: its room comes first.
  if ([...freedBy].some((name) => !names.has(name))) return
  const [victim] = running(pass)
    .filter(({ replica }) => replica.revision !== view.revision && freedBy.has(replica.name))
    .sort(byWorth)
  if (stuck === undefined || victim === undefined) return
  const standing = standingOf(victim)
  const atMs = stuck.replica.createdAtMs + ROLLOUT_NO_ROOM_MS
  if (atMs > nowMs) pass.wakes.push({ replica: victim.replica.name, atMs })
  else if (standing === 'shaky' || ready >= wanted) letGo(pass, victim, 'rollout_no_room')
}

function create(
  pass: Pass,
  count: number,
  why: { toReplace: readonly ReplicaView[]; remembered: number; lost: number },
): void {
  const { revision, replicas } = pass.view
  const others = replicas.some(({ replica }) => replica.revision !== revision)
  const ended = replicas.some(({ replica }) => replica.revision === revision && replica.intent === 'stop')
  const rest = others ? 'rollout' : ended ? 'replace_stopped' : 'scale_up'
  for (let index = 0; index < count; index++) {
    const failed = why.toReplace[index]
    if (failed) forget(pass, failed, 'replaced')
    const afterFailed = index - why.toReplace.length
    const reason =
      afterFailed < why.remembered
        ? REPLACE_FAILED
        : afterFailed < why.remembered + why.lost
          ? 'replace_lost'
          : rest
    pass.actions.push({ kind: 'create', revision, reason })
  }
}
