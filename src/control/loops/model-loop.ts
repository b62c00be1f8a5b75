import { sameJson } from '../../base/canonical-json.ts'
import {
  type ModelAction,
  type ModelDecision,
  NODE_LOST_GRACE_MS,
  type ReplicaView,
  reconcileModel,
} from '../../decide/index.ts'
import { whyBlocked } from '../../decide/source-standing.ts'
import type { Model, ModelStatus } from '../../domain/model.ts'
import { mayNotEvict, reportingNodes } from '../cluster-state.ts'
import { inspectedSources, modelKnowledge } from '../model-facts.ts'
import { replicaName, revisionHash, revisionName, sourceId, templateOf } from '../naming.ts'
import { NODE_BEAT_MS, NODE_LEASE_TTL_MS } from '../node-lease.ts'
import { ONLY, tables } from '../records.ts'
import { replicaViews, unmentionedAtMs } from '../replica-views.ts'
import type { EventText, Transaction } from '../transaction.ts'
import type { Loop, LoopContext } from './loop.ts'

/** By then a new leader has noted every node that is lost, and those that only stood still with us are back. */
const NEW_LEADER_MS = NODE_LEASE_TTL_MS + 2 * NODE_BEAT_MS
/** Room that the last action of a transaction may need. */
const ROOM_FOR_ONE = 10

const OF_REPLICA: readonly string[] = [
  tables.replicas.kind,
  tables.replicaStatus.kind,
  tables.placements.kind,
  tables.unplaced.kind,
]
const OF_NODE: readonly string[] = [tables.nodes.kind, tables.nodeLeases.kind, tables.nodeConditions.kind]

/** Makes, stops and forgets the replicas of each model as `reconcileModel` says, and tells its status. */
export function modelLoop(context: LoopContext): Loop {
  const { cache, committer, clock, term } = context
  const allModels = () => cache.all(tables.models).map((row) => row.name)

  return {
    name: 'model',
    keys: allModels,

    keysOf: ({ kind, name }) => {
      if (kind === tables.models.kind) return [name]
      if (OF_REPLICA.includes(kind)) return [name.slice(0, name.lastIndexOf('-'))]
      if (OF_NODE.includes(kind)) return allModels()
      if (kind !== tables.sources.kind) return []
      return cache
        .all(tables.models)
        .filter(({ value }) =>
          inspectedSources(templateOf(value.spec)).some((source) => sourceId(source) === name),
        )
        .map((row) => row.name)
    },

    async pass(name) {
      return committer.commit(
        'model_loop',
        (transaction) => {
          const model = transaction.get(tables.models, name)
          if (model === undefined) return undefined
          const nowMs = clock.now()
          const { decision, views } = decide(context, model, nowMs)
          const done = write(context, transaction, model, decision, views)
          const wakes = [
            decision.wakeAtMs,
            ...views.map(({ replica }) => unmentionedAtMs(cache, replica, nowMs)),
            done ? undefined : nowMs,
          ].filter((atMs) => atMs !== undefined)
          return wakes.length === 0 ? undefined : { wakeAtMs: Math.min(...wakes) }
        },
        term,
      )
    },
  }
}

function decide(
  { cache, term }: LoopContext,
  model: Model,
  nowMs: number,
): { decision: ModelDecision; views: ReplicaView[] } {
  const { sources, estimate } = modelKnowledge(cache, templateOf(model.spec))
  const blocked = whyBlocked({ sources, readyNodes: reportingNodes(cache), estimate })
  const views = replicaViews(cache, model.name, nowMs).map((view) => afterHandover(view, term.startedAtMs))
  const decision = reconcileModel(
    {
      model,
      revision: revisionName(model.name, model.spec),
      replicas: views,
      suspectSelf: mayNotEvict(cache),
      ...(blocked === undefined ? {} : { blocked }),
    },
    nowMs,
  )
  return { decision, views }
}

/**
 * What the leader before us noted as lost is not given up before we know that it is not lost to all of us: while
 * nobody led, perhaps nobody could report.
 */
function afterHandover(view: ReplicaView, startedAtMs: number): ReplicaView {
  if (view.nodeLostSinceMs === undefined) return view
  const leastMs = startedAtMs + NEW_LEADER_MS - NODE_LOST_GRACE_MS
  return { ...view, nodeLostSinceMs: Math.max(view.nodeLostSinceMs, leastMs) }
}

/**
 * Fills a transaction with the decision; false when part of it has to wait for the next. Whatever acts also writes
 * the status, so that two passes from the same view can't both commit, however many replicas there are; as many of
 * those as there is room for are compared as well.
 */
function write(
  context: LoopContext,
  transaction: Transaction,
  model: Model,
  { actions, status }: ModelDecision,
  views: readonly ReplicaView[],
): boolean {
  const { name } = model
  const before = transaction.get(tables.modelStatus, name)
  const removed = actions.some((action) => action.kind === 'remove_model')
  if (!removed) keepRevision(context, transaction, model)
  if (removed || actions.length > 0 || !sameJson(before, status)) {
    if (!removed) transaction.put(tables.modelStatus, name, status)
    const news = removed ? undefined : phaseEvent(before, status)
    if (news) transaction.event(news)
  }
  let left = actions.length
  for (const action of actions) {
    if (transaction.room < ROOM_FOR_ONE) break
    if (action.kind === 'remove_model' && left > 1) break
    act(context, transaction, model, action)
    left--
  }
  if (transaction.isEmpty) return true
  for (const { replica } of views) {
    if (transaction.room < ROOM_FOR_ONE) break
    transaction.get(tables.replicas, replica.name)
    transaction.get(tables.replicaStatus, replica.name)
    transaction.get(tables.placements, replica.name)
  }
  return left === 0
}

function keepRevision({ clock }: LoopContext, transaction: Transaction, model: Model): void {
  const template = templateOf(model.spec)
  const name = revisionName(model.name, model.spec)
  if (transaction.get(tables.revisions, name) !== undefined) return
  const hash = revisionHash(template)
  transaction.put(tables.revisions, name, {
    name,
    model: model.name,
    hash,
    createdAtMs: clock.now(),
    template,
  })
}

function act(
  { cache, clock, random }: LoopContext,
  transaction: Transaction,
  model: Model,
  action: ModelAction,
): void {
  switch (action.kind) {
    case 'create': {
      let name = replicaName(model.name, random)
      while (transaction.get(tables.replicas, name)) name = replicaName(model.name, random)
      const { revision, reason } = action
      transaction.put(tables.replicas, name, {
        name,
        model: model.name,
        revision,
        intent: 'run',
        reason,
        createdAtMs: clock.now(),
      })
      const message = `made for ${revision} (${reason})`
      transaction.event({ type: 'normal', object: { kind: 'replica', name }, reason: 'created', message })
      return
    }
    case 'stop': {
      const replica = transaction.get(tables.replicas, action.replica)
      if (replica === undefined || replica.intent === 'stop') return
      const { name } = replica
      const { reason } = action
      transaction.put(tables.replicas, name, { ...replica, intent: 'stop', reason, stopAtMs: clock.now() })
      const message = `told to stop (${reason})`
      transaction.event({ type: 'normal', object: { kind: 'replica', name }, reason: 'stopping', message })
      return
    }
    case 'forget': {
      const { replica: name, reason } = action
      const told = cache.get(tables.replicaStatus, name)?.value.phase === 'stopped'
      const node = cache.get(tables.placements, name)?.value.node
      transaction.delete(tables.replicas, name)
      transaction.delete(tables.placements, name)
      transaction.delete(tables.replicaStatus, name)
      transaction.delete(tables.unplaced, name)
      transaction.delete(tables.endpoints, name)
      const news = forgottenEvent(name, reason, node, told)
      if (news) transaction.event(news)
      return
    }
    case 'remove_model':
      removeModel(transaction, model)
  }
}

function removeModel(transaction: Transaction, { name, spec }: Model): void {
  transaction.delete(tables.models, name)
  transaction.delete(tables.modelStatus, name)
  if (spec.adapters.length > 0) {
    const owners = Object.entries(transaction.get(tables.adapterNames, ONLY)?.owners ?? {})
    const rest = Object.fromEntries(owners.filter(([, owner]) => owner !== name))
    transaction.put(tables.adapterNames, ONLY, { owners: rest })
  }
  transaction.event({
    type: 'normal',
    object: { kind: 'model', name },
    reason: 'removed',
    message: 'it is gone',
  })
}

function forgottenEvent(
  name: string,
  reason: string,
  node: string | undefined,
  told: boolean,
): EventText | undefined {
  const object = { kind: 'replica', name } as const
  if (reason === 'node_lost' || reason === 'node_gone') {
    const what = reason === 'node_lost' ? 'does not report' : 'does not have it any more'
    return {
      type: 'warning',
      object,
      reason: 'lost',
      message: `given up, because ${node ?? 'its node'} ${what}`,
    }
  }
  if (told) return undefined
  return { type: 'normal', object, reason: 'stopped', message: `ended (${reason})` }
}

/** Says when a model begins or ceases to serve. */
function phaseEvent(before: ModelStatus | undefined, after: ModelStatus): EventText | undefined {
  if (before?.phase === after.phase) return undefined
  const object = { kind: 'model', name: after.name } as const
  const why = after.message === undefined ? '' : `: ${after.message}`
  switch (after.phase) {
    case 'ready':
      return {
        type: 'normal',
        object,
        reason: 'ready',
        message: `${after.readyReplicas} of ${after.desiredReplicas} replicas serve`,
      }
    case 'degraded':
    case 'failed':
      return { type: 'warning', object, reason: after.reason ?? after.phase, message: `${after.phase}${why}` }
    case 'stopped':
      return { type: 'normal', object, reason: 'stopped', message: 'its last replica has ended' }
    default:
      return undefined
  }
}
