import { sameJson } from '../../base/canonical-json.ts'
import { nodesToAvoid, type ReplicaAsk, type SchedulePlan, schedule } from '../../decide/index.ts'
import { lookingUntilMs, sourcesOn } from '../../decide/source-standing.ts'
import type { ClusterCache } from '../cluster-cache.ts'
import { clusterView } from '../cluster-state.ts'
import { modelKnowledge } from '../model-facts.ts'
import { commitPlan } from '../plan-commit.ts'
import { tables } from '../records.ts'
import { replicaViews } from '../replica-views.ts'
import type { Transaction } from '../transaction.ts'
import type { Loop, LoopContext } from './loop.ts'

/** Rejection tables written by one transaction: each has a line for every node. */
const TABLES_AT_A_TIME = 8
const THE_PLAN = 'plan'

const KINDS: readonly string[] = [
  tables.models.kind,
  tables.revisions.kind,
  tables.replicas.kind,
  tables.replicaStatus.kind,
  tables.placements.kind,
  tables.nodes.kind,
  tables.nodeStatus.kind,
  tables.nodeLeases.kind,
  tables.sources.kind,
]

/** Gives places to the replicas that have none, as `schedule` says, and keeps the reasons of those without one. */
export function scheduleLoop(context: LoopContext): Loop {
  const { cache, committer, clock, random, term } = context
  return {
    name: 'schedule',
    keys: () => [THE_PLAN],
    keysOf: ({ kind }) => (KINDS.includes(kind) ? [THE_PLAN] : []),

    async pass() {
      let wakeAtMs: number | undefined
      const done = await committer.commit(
        'schedule_loop',
        (transaction) => {
          const nowMs = clock.now()
          const { asks, waitUntilMs } = openAsks(cache, nowMs)
          wakeAtMs = waitUntilMs
          const plan: SchedulePlan =
            asks.length === 0 ? { placed: [], unplaced: [] } : schedule(asks, clusterView(cache), random)
          const placed = commitPlan(transaction, plan.placed, nowMs)
          // Tables are made for the plan as a whole; with part of it still to come they would say what is not so.
          return placed === plan.placed.length && keepReasons(cache, transaction, plan.unplaced, asks, nowMs)
        },
        term,
      )
      if (!done) return { wakeAtMs: clock.now() }
      return wakeAtMs === undefined ? undefined : { wakeAtMs }
    },
  }
}

interface OpenAsks {
  readonly asks: readonly ReplicaAsk[]
  /** When one that waits for nodes to look at its sources waits no longer. */
  readonly waitUntilMs: number | undefined
}

/** The replicas that want a place now and whose need is known. */
function openAsks(cache: ClusterCache, nowMs: number): OpenAsks {
  let waitUntilMs: number | undefined
  const able = clusterView(cache)
    .nodes.filter((node) => node.ready && !node.cordoned)
    .map((node) => node.name)
  const avoid = new Map<string, readonly string[]>()
  const avoidOf = (model: string) => {
    const known = avoid.get(model) ?? nodesToAvoid(replicaViews(cache, model, nowMs))
    avoid.set(model, known)
    return known
  }
  const asks = cache.all(tables.replicas).flatMap(({ value: replica }) => {
    if (replica.intent === 'stop' || cache.get(tables.placements, replica.name)) return []
    const model = cache.get(tables.models, replica.model)?.value
    const template = cache.get(tables.revisions, replica.revision)?.value.template
    if (model === undefined || template === undefined || template.engine === 'external') return []
    const { sources, estimate } = modelKnowledge(cache, template)
    if (estimate.kind === 'unknown') return []
    const untilMs = lookingUntilMs(sources, able, replica.createdAtMs, nowMs)
    if (untilMs !== undefined) {
      waitUntilMs = Math.min(waitUntilMs ?? untilMs, untilMs)
      return []
    }
    const sourceOn = sourcesOn(sources)
    return [
      {
        replica: replica.name,
        model: replica.model,
        engine: template.engine,
        footprint: estimate.footprint,
        nodeSelector: template.nodeSelector,
        strategy: model.spec.strategy,
        priority: model.spec.priority,
        createdAtMs: replica.createdAtMs,
        ...(sourceOn === undefined ? {} : { sourceOn }),
        avoidNodes: avoidOf(replica.model),
      },
    ]
  })
  return { asks, waitUntilMs }
}

/** Writes the rejection tables that changed and drops those of replicas that ask no more; false when some are left. */
function keepReasons(
  cache: ClusterCache,
  transaction: Transaction,
  unplaced: SchedulePlan['unplaced'],
  asks: readonly ReplicaAsk[],
  nowMs: number,
): boolean {
  const asking = new Set(asks.map(({ replica }) => replica))
  for (const { name } of cache.all(tables.unplaced)) {
    if (asking.has(name)) continue
    if (transaction.room < 4) return false
    transaction.delete(tables.unplaced, name)
  }
  let written = 0
  for (const { replica, rejections } of unplaced) {
    const before = cache.get(tables.unplaced, replica)?.value
    if (before && sameJson(before.rejections, rejections)) continue
    if (written === TABLES_AT_A_TIME || transaction.room < 4) return false
    written++
    // A replica that was forgotten meanwhile must not leave a table behind.
    if (transaction.get(tables.replicas, replica) === undefined) continue
    const sinceMs = before?.sinceMs ?? nowMs
    transaction.put(tables.unplaced, replica, { replica, sinceMs, rejections: [...rejections] })
    if (before === undefined) {
      transaction.event({
        type: 'warning',
        object: { kind: 'replica', name: replica },
        reason: 'unschedulable',
        message: rejections[0]?.message ?? 'there is no node; join one with `yard agent`',
      })
    }
  }
  return true
}
