import type { z } from 'zod'
import type { JoinTokenObject, KeyObject, ModelObject, NodeObject, ReplicaObject } from '../api/objects.ts'
import { YardError } from '../base/errors.ts'
import type { JoinToken, Key } from '../domain/access.ts'
import type { Model, ModelStatus } from '../domain/model.ts'
import type { Node } from '../domain/node.ts'
import type { Replica } from '../domain/replica.ts'
import type { ClusterCache, Row } from './cluster-cache.ts'
import { tables } from './records.ts'

/** The record under a name, or `not_found` naming it. */
export function found<Value>(row: Row<Value> | undefined, noun: Noun, name: string): Row<Value> {
  if (row !== undefined) return row
  throw notFound(noun, name)
}

export function notFound(noun: Noun, name: string): YardError {
  const reason = noun.replace(' ', '_')
  return new YardError('not_found', `there is no ${noun} "${name}"`, { reason, hint: WHERE_TO_LOOK[noun] })
}

type Noun = 'model' | 'replica' | 'node' | 'key' | 'join token'

const WHERE_TO_LOOK: Readonly<Record<Noun, string>> = {
  model: 'see yard list; to make one: yard load SOURCE --name NAME',
  replica: 'see yard replica list; a replica that has ended is forgotten',
  node: 'see yard node list; to add one: yard node join-token',
  key: 'see yard key list',
  'join token': 'it may be used up or expired; GET /api/v1/join-tokens lists the others',
}

export function modelObject(cache: ClusterCache, { value: model, modRevision }: Row<Model>): ModelObject {
  return {
    kind: 'Model',
    name: model.name,
    resourceVersion: String(modRevision),
    labels: model.labels,
    generation: model.generation,
    createdAtMs: model.createdAtMs,
    ...(model.deletedAtMs === undefined ? {} : { deletedAtMs: model.deletedAtMs }),
    spec: model.spec,
    status: cache.get(tables.modelStatus, model.name)?.value ?? newStatus(model),
  }
}

export function replicaObject(
  cache: ClusterCache,
  { value: replica, modRevision }: Row<Replica>,
): ReplicaObject {
  const placement = cache.get(tables.placements, replica.name)?.value
  const status = cache.get(tables.replicaStatus, replica.name)?.value
  const unplaced = placement ? undefined : cache.get(tables.unplaced, replica.name)?.value
  return {
    kind: 'Replica',
    name: replica.name,
    resourceVersion: String(modRevision),
    replica,
    ...(placement === undefined ? {} : { placement }),
    ...(status === undefined ? {} : { status }),
    rejections: unplaced?.rejections ?? [],
  }
}

export function nodeObject(cache: ClusterCache, { value, modRevision }: Row<Node>): NodeObject {
  const { agentId: _, ...node } = value
  const status = cache.get(tables.nodeStatus, node.name)?.value
  return {
    kind: 'Node',
    name: node.name,
    resourceVersion: String(modRevision),
    node,
    ready: cache.get(tables.nodeLeases, node.name) !== undefined,
    ...(status === undefined ? {} : { status }),
    placements: placementsOn(cache, node.name).map((row) => row.value),
  }
}

export function placementsOn(cache: ClusterCache, node: string) {
  return cache.all(tables.placements).filter((row) => row.value.node === node)
}

export function keyObject({ hash: _, ...key }: Key): KeyObject {
  return { kind: 'Key', ...key }
}

export function joinTokenObject({ hash: _, ...token }: JoinToken): z.infer<typeof JoinTokenObject> {
  return { kind: 'JoinToken', ...token }
}

/** What is told of a model before its loop has looked at it. */
function newStatus(model: Model): ModelStatus {
  return {
    name: model.name,
    observedGeneration: 0,
    phase: model.deletedAtMs !== undefined ? 'deleting' : 'pending',
    desiredReplicas: model.spec.replicas,
    readyReplicas: 0,
    updatedReplicas: 0,
    rejections: [],
  }
}
