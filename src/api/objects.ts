import { z } from 'zod'
import { JoinToken, Key, Scope } from '../domain/access.ts'
import { ModelSpec, ModelStatus, ModelTemplate, Rejection } from '../domain/model.ts'
import { Labels, Name } from '../domain/names.ts'
import { Node, NodeStatus } from '../domain/node.ts'
import { Assignment, Endpoint, Placement, Replica, ReplicaStatus } from '../domain/replica.ts'

/** Store revision of a record, as text: send it back to change only what you have seen. */
export const ResourceVersion = z.string().regex(/^\d+$/)

export const ModelObject = z.object({
  kind: z.literal('Model'),
  name: Name,
  resourceVersion: ResourceVersion,
  labels: Labels,
  generation: z.number().int(),
  createdAtMs: z.number(),
  deletedAtMs: z.number().optional(),
  spec: ModelSpec,
  status: ModelStatus,
})
export type ModelObject = z.infer<typeof ModelObject>

export const ModelWrite = z.strictObject({
  labels: Labels.optional(),
  /** When given, the write is refused with `conflict` if the model has changed since. */
  resourceVersion: ResourceVersion.optional(),
  spec: ModelSpec,
})

export const ModelCreate = ModelWrite.omit({ resourceVersion: true }).extend({ name: Name })

/**
 * `spec` absent: load again what is known under this name. The count is `replicas`, else the spec's, else what the
 * model has or had before it was unloaded, else 1.
 */
export const ModelLoad = z.strictObject({
  spec: ModelSpec.extend({ replicas: ModelSpec.shape.replicas.unwrap().optional() }).optional(),
  labels: Labels.optional(),
  replicas: z.number().int().min(1).max(1000).optional(),
})

export const ModelScale = z.strictObject({
  replicas: z.number().int().min(0).max(1000),
  /** Refuse with `conflict` unless this is the present count. */
  currentReplicas: z.number().int().min(0).optional(),
})

export const RevisionObject = z.object({
  kind: z.literal('Revision'),
  name: z.string(),
  model: Name,
  createdAtMs: z.number(),
  current: z.boolean(),
  template: ModelTemplate,
})

export const ReplicaObject = z.object({
  kind: z.literal('Replica'),
  name: z.string(),
  resourceVersion: ResourceVersion,
  replica: Replica,
  placement: Placement.optional(),
  status: ReplicaStatus.optional(),
  /** Why it has no place, for one that waits. */
  rejections: z.array(Rejection),
})
export type ReplicaObject = z.infer<typeof ReplicaObject>

export const NodeObject = z.object({
  kind: z.literal('Node'),
  name: Name,
  resourceVersion: ResourceVersion,
  node: Node.omit({ agentId: true }),
  ready: z.boolean(),
  status: NodeStatus.optional(),
  placements: z.array(Placement),
})
export type NodeObject = z.infer<typeof NodeObject>

export const KeyObject = Key.omit({ hash: true }).extend({ kind: z.literal('Key') })
export type KeyObject = z.infer<typeof KeyObject>

export const KeyCreate = z.strictObject({
  name: z.string().min(1).max(100),
  scopes: z.array(Scope.extract(['inference', 'read', 'manage'])).min(1),
  models: z.array(z.string()).optional(),
  expiresAtMs: z.number().optional(),
})

export const JoinTokenObject = JoinToken.omit({ hash: true }).extend({ kind: z.literal('JoinToken') })

export const JoinTokenCreate = z.strictObject({
  role: z.enum(['agent', 'gateway']).default('agent'),
  ttlMs: z
    .number()
    .int()
    .min(1_000)
    .max(30 * 86_400_000)
    .default(3_600_000),
  uses: z.number().int().min(1).max(10_000).default(1),
})

/** A machine introduces itself; the token is its only credential until the answer. */
export const Registration = z.strictObject({
  joinToken: z.string(),
  role: z.enum(['agent', 'gateway']),
  name: Name,
  labels: Labels.default({}),
  /** For agents: where control and gateways reach it. */
  agentUrl: z.string().optional(),
  /** For agents: names one data directory; registering again with the same id is a restart. */
  agentId: z.string().optional(),
})

export const Registered = z.object({
  name: Name,
  /** The machine's own key from now on. */
  key: z.string(),
  /** What control presents to this agent. */
  agentCredential: z.string().optional(),
})

export const Heartbeat = z.strictObject({
  agentId: z.string(),
  /** Where it can be reached now; a change is taken over. */
  agentUrl: z.string(),
  status: NodeStatus,
  replicas: z.array(ReplicaStatus),
})

export const HeartbeatAnswer = z.object({
  /** Beat again within this time; the lease lives for several beats. */
  nextBeatMs: z.number(),
})

/** All that a node is to do, whole, at one revision. */
export const NodeWork = z.object({
  revision: z.number().int(),
  planVersion: z.number().int(),
  assignments: z.array(Assignment),
  /** Sources to look at and report on. */
  inspect: z.array(z.string()),
})
export type NodeWork = z.infer<typeof NodeWork>

export const LongPoll = z.object({
  /** Answer at once when there is something newer than this revision, else wait. */
  after: z.coerce.number().int().min(0).default(0),
  waitMs: z.coerce.number().int().min(0).max(60_000).default(0),
})

/** All that a gateway needs to serve without asking, whole, at one revision. */
export const GatewayView = z.object({
  revision: z.number().int(),
  planVersion: z.number().int(),
  /** Public names, also of models without a ready endpoint. */
  models: z.array(
    z.object({ name: Name, createdAtMs: z.number(), adapters: z.array(z.string()), phase: z.string() }),
  ),
  endpoints: z.array(Endpoint.extend({ credential: z.string().optional() })),
  keys: z.array(Key),
  /** Hex; with it a gateway checks keys by itself. */
  pepper: z.string(),
})
export type GatewayView = z.infer<typeof GatewayView>

export const WhoAmI = z.object({
  keyId: z.string(),
  name: z.string(),
  scopes: z.array(Scope),
  models: z.array(z.string()).optional(),
  expiresAtMs: z.number().optional(),
})

export const Version = z.object({ version: z.string(), api: z.literal('v1'), gateway: z.string().optional() })

/** The one envelope of every fault. `code` is one of the table in `base/errors.ts`. */
export const ApiError = z.object({
  error: z.object({
    code: z.string(),
    message: z.string(),
    /** Stable snake_case: which case of the code it is. */
    reason: z.string().optional(),
    details: z.record(z.string(), z.unknown()).optional(),
    /** What to do next. */
    hint: z.string().optional(),
    requestId: z.string(),
  }),
})
export type ApiError = z.infer<typeof ApiError>
