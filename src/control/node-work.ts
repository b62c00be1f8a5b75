import type { NodeWork } from '../api/objects.ts'
import type { Assignment, Placement } from '../domain/replica.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { replicaCredential } from './machine-credentials.ts'
import { inspectedSources, modelKnowledge } from './model-facts.ts'
import { sourceId, templateOf } from './naming.ts'
import { ONLY, tables } from './records.ts'
import { placementsOn } from './views.ts'

/** All that a node is to run and to look at, but for the revision. */
export function nodeWorkOf(cache: ClusterCache, pepper: string, node: string): Omit<NodeWork, 'revision'> {
  return {
    planVersion: cache.get(tables.plan, ONLY)?.value.planVersion ?? 0,
    assignments: placementsOn(cache, node).flatMap(({ value }) => assignmentOf(cache, pepper, value) ?? []),
    inspect: sourcesToInspect(cache, node),
  }
}

/** A placement with all that its command is made of; undefined while its replica is being forgotten. */
function assignmentOf(cache: ClusterCache, pepper: string, placement: Placement): Assignment | undefined {
  const replica = cache.get(tables.replicas, placement.replica)?.value
  const revision = replica && cache.get(tables.revisions, replica.revision)?.value
  if (replica === undefined || revision === undefined) return undefined
  const { template } = revision
  const { source, engine, adapters, engineArgs, command, embeddings, startTimeoutMs, drainTimeoutMs } =
    template
  return {
    replica: replica.name,
    model: replica.model,
    revision: replica.revision,
    planVersion: placement.planVersion,
    desired: replica.intent,
    engine,
    source,
    ...modelKnowledge(cache, template).limits,
    ...(embeddings === undefined ? {} : { embeddings }),
    adapters,
    engineArgs,
    ...(command === undefined ? {} : { command }),
    deviceIds: placement.deviceIds,
    bytesPerDevice: placement.bytesPerDevice,
    hostMemoryBytes: placement.hostMemoryBytes,
    port: placement.port,
    startTimeoutMs,
    drainTimeoutMs,
    credential: replicaCredential(pepper, replica.name),
  }
}

/**
 * Sources of models that are to run which this node has not found yet. One that it reported missing or invalid stays
 * on the list, so that a file which is put there later is seen at the next poll.
 */
function sourcesToInspect(cache: ClusterCache, node: string): string[] {
  const wanted = new Set<string>()
  for (const { value: model } of cache.all(tables.models)) {
    if (model.deletedAtMs !== undefined || model.spec.replicas === 0) continue
    for (const source of inspectedSources(templateOf(model.spec))) wanted.add(source)
  }
  return [...wanted].sort().filter((source) => {
    const reports = cache.get(tables.sources, sourceId(source))?.value.nodes ?? {}
    return !Object.hasOwn(reports, node) || reports[node]?.kind !== 'found'
  })
}
