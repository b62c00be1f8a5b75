import { z } from 'zod'
import { EngineName } from './engine-name.ts'
import { Labels, Name } from './names.ts'
import { DeviceKind } from './node.ts'
import { SourceText } from './source.ts'

export const Adapter = z.strictObject({ name: Name, source: SourceText })
export type Adapter = Readonly<z.infer<typeof Adapter>>

export const EngineArgs = z.record(
  z
    .string()
    .regex(/^[a-z0-9][a-z0-9-]{0,63}$/, 'write the engine flag without dashes in front, in kebab-case'),
  z.union([z.string().max(4096), z.number(), z.boolean()]),
)
export type EngineArgs = Readonly<z.infer<typeof EngineArgs>>

/** What the user states by hand about the need; overrides every estimate. */
export const Resources = z.strictObject({
  devices: z.number().int().min(0).max(64).optional(),
  deviceKind: DeviceKind.optional(),
  /** Bytes on each device. */
  memoryBytes: z.number().int().positive().optional(),
  hostMemoryBytes: z.number().int().nonnegative().optional(),
})
export type Resources = Readonly<z.infer<typeof Resources>>

/** The part of a spec that a running replica depends on; a change of it makes a new Revision. */
export const ModelTemplate = z.strictObject({
  source: SourceText,
  engine: EngineName,
  /** Tokens of context for each sequence. */
  contextTokens: z.number().int().min(16).max(16_777_216).optional(),
  /** Sequences served at the same time by one replica. */
  maxConcurrency: z.number().int().min(1).max(65_536).optional(),
  /** Serve embeddings where the engine must be told so. */
  embeddings: z.boolean().optional(),
  adapters: z.array(Adapter).max(64).default([]),
  resources: Resources.default({}),
  engineArgs: EngineArgs.default({}),
  /** Arguments after the program, for engine `command`; `{port}`, `{host}` and `{name}` are filled in. */
  command: z.array(z.string().max(4096)).max(256).optional(),
  /** The model's name at an external service, when it differs from ours. */
  externalModel: z.string().min(1).max(256).optional(),
  /**
   * Environment variable of the gateway that holds the external service's key. Its name must say that it is one, so
   * that who may write models can't have the gateway send any other of its variables to a URL of theirs.
   */
  externalKeyEnv: z
    .string()
    .max(64)
    .regex(/^[A-Z][A-Z0-9_]*_API_KEY$/, 'name a variable that ends in _API_KEY')
    .optional(),
  nodeSelector: Labels.default({}),
  startTimeoutMs: z.number().int().min(1_000).max(86_400_000).default(600_000),
  drainTimeoutMs: z.number().int().min(0).max(86_400_000).default(60_000),
})
export type ModelTemplate = Readonly<z.infer<typeof ModelTemplate>>

export const ModelSpec = ModelTemplate.extend({
  replicas: z.number().int().min(0).max(1_000).default(1),
  strategy: z.enum(['spread', 'pack']).default('spread'),
  priority: z.number().int().min(-1_000).max(1_000).default(0),
})
export type ModelSpec = Readonly<z.infer<typeof ModelSpec>>
/** A spec as people write it, defaults left out. */
export type ModelSpecInput = Readonly<z.input<typeof ModelSpec>>

/** Desired state of one served model. Written by the API only. */
export const Model = z.object({
  name: Name,
  labels: Labels,
  /** Grows by one with each change of the spec. */
  generation: z.number().int().positive(),
  createdAtMs: z.number(),
  spec: ModelSpec,
  /** How many replicas it had when it was unloaded, so that loading it again brings it back as it was. */
  unloadedReplicas: z.number().int().positive().optional(),
  /** Set once deletion was asked for; the record goes when the last replica has. */
  deletedAtMs: z.number().optional(),
})
export type Model = Readonly<z.infer<typeof Model>>

/** Immutable template of a Model, named by content hash: `tiny-1f3a9c20`. */
export const Revision = z.object({
  name: z.string(),
  model: Name,
  hash: z.string(),
  createdAtMs: z.number(),
  template: ModelTemplate,
})
export type Revision = Readonly<z.infer<typeof Revision>>

/** Why one node (or device) can't take a replica, and what would make it fit. */
export const Rejection = z.object({
  node: z.string(),
  device: z.string().optional(),
  reason: z.enum([
    'cordoned',
    'not_ready',
    'avoided',
    'selector',
    'engine_missing',
    'source_missing',
    'source_unknown',
    'device_kind',
    'device_count',
    'device_unhealthy',
    'memory',
    'host_memory',
    'no_port',
  ]),
  message: z.string(),
  needBytes: z.number().optional(),
  haveBytes: z.number().optional(),
  /** Replicas of the same model on this node, any one of which would make room by leaving. */
  freedBy: z.array(z.string()).optional(),
})
export type Rejection = Readonly<z.infer<typeof Rejection>>

export const ModelPhase = z.enum([
  'pending',
  'progressing',
  'ready',
  'degraded',
  'failed',
  'stopped',
  'deleting',
])
export type ModelPhase = z.infer<typeof ModelPhase>

/** What a Model is. Written by its controller only. */
export const ModelStatus = z.object({
  name: Name,
  observedGeneration: z.number().int(),
  phase: ModelPhase,
  desiredReplicas: z.number().int(),
  readyReplicas: z.number().int(),
  /** Replicas of the current revision that are ready. */
  updatedReplicas: z.number().int(),
  revision: z.string().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  rejections: z.array(Rejection).default([]),
})
export type ModelStatus = Readonly<z.infer<typeof ModelStatus>>
