import type { ClusterCache } from '../cluster-cache.ts'
import { inspectedSources } from '../model-facts.ts'
import { revisionName, sourceId, templateOf } from '../naming.ts'
import type { RecordKind } from '../record-kind.ts'
import { tables } from '../records.ts'
import type { Transaction } from '../transaction.ts'
import type { Loop, LoopContext } from './loop.ts'

export const EVENTS_KEPT = 1_000
/** Revisions of a model that are kept, beside those in use. */
export const REVISIONS_KEPT = 10
const EVERY_MS = 60_000
/** How far the events may outgrow what is kept before the sweep comes early. */
const EVENTS_SLACK = 200
const ALL = 'all'

/** Deletes what nothing refers to any more. Anything else that is orphaned was orphaned by a fault of ours. */
export function garbageLoop({ cache, committer, clock, term }: LoopContext): Loop {
  return {
    name: 'garbage',
    keys: () => [ALL],
    keysOf: ({ kind }) =>
      kind === tables.events.kind && cache.all(tables.events).length > EVENTS_KEPT + EVENTS_SLACK
        ? [ALL]
        : [],

    async pass() {
      const done = await committer.commit(
        'garbage_loop',
        (transaction) =>
          sweep(transaction, tables.events, oldEvents(cache)) &&
          sweep(transaction, tables.joinTokens, deadTokens(cache, clock.now())) &&
          sweep(transaction, tables.revisions, unusedRevisions(cache)) &&
          sweep(transaction, tables.sources, unusedSources(cache)) &&
          dropReportsOfGoneNodes(cache, transaction) &&
          sweep(transaction, tables.modelStatus, orphans(cache, tables.modelStatus, tables.models)) &&
          sweep(transaction, tables.nodeStatus, orphans(cache, tables.nodeStatus, tables.nodes)) &&
          sweep(transaction, tables.nodeConditions, orphans(cache, tables.nodeConditions, tables.nodes)) &&
          sweep(transaction, tables.placements, orphans(cache, tables.placements, tables.replicas)) &&
          sweep(transaction, tables.replicaStatus, orphans(cache, tables.replicaStatus, tables.placements)) &&
          sweep(transaction, tables.replicas, orphanReplicas(cache)),
        term,
      )
      return { wakeAtMs: clock.now() + (done ? EVERY_MS : 0) }
    },
  }
}

/** Deletes by name as far as there is room; false when some are left. */
function sweep<Value>(transaction: Transaction, table: RecordKind<Value>, names: readonly string[]): boolean {
  for (const name of names) {
    if (transaction.room < 4) return false
    transaction.delete(table, name)
  }
  return true
}

function oldEvents(cache: ClusterCache): string[] {
  const events = cache.all(tables.events)
  return events.slice(0, Math.max(0, events.length - EVENTS_KEPT)).map((row) => row.name)
}

function deadTokens(cache: ClusterCache, nowMs: number): string[] {
  return cache
    .all(tables.joinTokens)
    .filter(({ value }) => value.expiresAtMs <= nowMs || value.usesLeft === 0)
    .map((row) => row.name)
}

function unusedRevisions(cache: ClusterCache): string[] {
  const used = new Set(cache.all(tables.replicas).map(({ value }) => value.revision))
  const models = new Map(cache.all(tables.models).map(({ name, value }) => [name, value]))
  for (const [name, { spec }] of models) used.add(revisionName(name, spec))
  const kept = new Map<string, number>()
  return [...cache.all(tables.revisions)]
    .sort((left, right) => right.value.createdAtMs - left.value.createdAtMs)
    .filter(({ name, value: { model } }) => {
      if (used.has(name)) return false
      if (!models.has(model)) return true
      const count = kept.get(model) ?? 0
      kept.set(model, count + 1)
      return count >= REVISIONS_KEPT
    })
    .map((row) => row.name)
}

function unusedSources(cache: ClusterCache): string[] {
  const used = new Set(
    cache
      .all(tables.models)
      .flatMap(({ value }) => inspectedSources(templateOf(value.spec)))
      .concat(cache.all(tables.revisions).flatMap(({ value }) => inspectedSources(value.template)))
      .map(sourceId),
  )
  return cache
    .all(tables.sources)
    .map((row) => row.name)
    .filter((name) => !used.has(name))
}

function dropReportsOfGoneNodes(cache: ClusterCache, transaction: Transaction): boolean {
  for (const { name, value } of cache.all(tables.sources)) {
    const left = Object.entries(value.nodes).filter(([node]) => cache.get(tables.nodes, node) !== undefined)
    if (left.length === Object.keys(value.nodes).length) continue
    if (transaction.room < 4) return false
    transaction.put(tables.sources, name, { ...value, nodes: Object.fromEntries(left) })
  }
  return true
}

function orphans<Value, Owner>(
  cache: ClusterCache,
  table: RecordKind<Value>,
  owners: RecordKind<Owner>,
): string[] {
  return cache
    .all(table)
    .map((row) => row.name)
    .filter((name) => cache.get(owners, name) === undefined)
}

/** A model's record goes with its last replica, in one transaction; one without a model can't be meant. */
function orphanReplicas(cache: ClusterCache): string[] {
  return cache
    .all(tables.replicas)
    .filter(({ value }) => cache.get(tables.models, value.model) === undefined)
    .map((row) => row.name)
}
