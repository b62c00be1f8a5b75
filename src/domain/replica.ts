import { z } from 'zod'
import { EngineName } from './engine-name.ts'
import { Adapter, EngineArgs } from './model.ts'
import { Name } from './names.ts'

/**
 * One running copy of a Revision. It is placed once and never moves: a replica whose node is lost is forgotten
 * and another one made, so that two copies of one Replica can't run. Written by controllers only.
 */
export const Replica = z.object({
  name: z.string(),
  model: Name,
  revision: z.string(),
  /** `run` until somebody wants it gone; never back to `run`. */
  intent: z.enum(['run', 'stop']),
  /** Why the intent is what it is: `scale_up`, `rollout`, `replace_failed`, `scale_down`, `unload` … */
  reason: z.string(),
  createdAtMs: z.number(),
  /** When the intent became `stop`. */
  stopAtMs: z.number().optional(),
})
export type Replica = Readonly<z.infer<typeof Replica>>

/** The node, devices and port given to a Replica. */
export const Placement = z.object({
  replica: z.string(),
  model: Name,
  node: Name,
  deviceIds: z.array(z.string()),
  bytesPerDevice: z.number().int().nonnegative(),
  hostMemoryBytes: z.number().int().nonnegative(),
  port: z.number().int().min(1).max(65535),
  /** The plan that placed it. */
  planVersion: z.number().int().positive(),
})
export type Placement = Readonly<z.infer<typeof Placement>>

/** Header of all Placements; each commit of a plan compares and raises it. */
export const Plan = z.object({ planVersion: z.number().int().nonnegative(), committedAtMs: z.number() })
export type Plan = Readonly<z.infer<typeof Plan>>

export const ReplicaPhase = z.enum([
  'pending',
  'pulling',
  'starting',
  'ready',
  'unhealthy',
  'draining',
  'stopped',
  'failed',
])
export type ReplicaPhase = z.infer<typeof ReplicaPhase>

/** Why an engine failed, from its exit code and its last lines. */
export const Failure = z.object({
  /** Stable: `out_of_memory`, `bad_argument`, `missing_file`, `invalid_model`, `port_in_use`, `device_fault`,
   * `start_timeout`, `exited`, `killed`, `hung`, `program_missing`, `not_allowed` … */
  reason: z.string(),
  message: z.string(),
  /** False when the same start can't succeed. Says nothing of an engine that had been ready. */
  retryable: z.boolean(),
  /** True when the device (or its driver) is at fault: another one may serve. */
  deviceFault: z.boolean().optional(),
  exitCode: z.number().int().optional(),
  signal: z.string().optional(),
  /** The engine's last lines, oldest first, at most 30. */
  lastLines: z.array(z.string()).default([]),
})
export type Failure = Readonly<z.infer<typeof Failure>>

/** What a Replica is. Written by its node's agent (through the API) only. */
export const ReplicaStatus = z.object({
  replica: z.string(),
  node: Name,
  /** The plan that the agent acted on. */
  planVersion: z.number().int(),
  phase: ReplicaPhase,
  sinceMs: z.number(),
  /** Starts after the first. */
  restarts: z.number().int().nonnegative(),
  pid: z.number().int().optional(),
  engineVersion: z.string().optional(),
  /** 0..1 while loading, when the engine tells. */
  progress: z.number().min(0).max(1).optional(),
  message: z.string().optional(),
  failure: Failure.optional(),
  /** Adapters that are loaded and serve. */
  adapters: z.array(z.string()).default([]),
})
export type ReplicaStatus = Readonly<z.infer<typeof ReplicaStatus>>

/** A placed Replica as told to its node: placement plus all that its command is made of. */
export const Assignment = z.object({
  replica: z.string(),
  model: Name,
  revision: z.string(),
  planVersion: z.number().int(),
  desired: z.enum(['run', 'stop']),
  engine: EngineName,
  source: z.string(),
  contextTokens: z.number().int().optional(),
  maxConcurrency: z.number().int().optional(),
  embeddings: z.boolean().optional(),
  adapters: z.array(Adapter),
  engineArgs: EngineArgs,
  command: z.array(z.string()).optional(),
  deviceIds: z.array(z.string()),
  bytesPerDevice: z.number().int(),
  hostMemoryBytes: z.number().int(),
  port: z.number().int(),
  startTimeoutMs: z.number().int(),
  drainTimeoutMs: z.number().int(),
  /** Secret that the engine (or the agent's proxy) asks of whoever calls it. Never logged. */
  credential: z.string(),
})
export type Assignment = Readonly<z.infer<typeof Assignment>>

/** A routable replica, as gateways see it. Written by the endpoints controller only. */
export const Endpoint = z.object({
  replica: z.string(),
  model: Name,
  node: z.string().optional(),
  engine: EngineName,
  /**
   * `node`: an engine on a loopback port of its node; a gateway on the same machine (the agent's URL is a loopback
   * address) calls the port, any other goes through the agent's proxy. `external`: somebody else's service.
   */
  address: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('node'), agentUrl: z.string(), port: z.number().int() }),
    z.object({
      kind: z.literal('external'),
      url: z.string(),
      model: z.string(),
      keyEnv: z.string().optional(),
    }),
  ]),
  adapters: z.array(z.string()),
  state: z.enum(['ready', 'draining']),
  planVersion: z.number().int(),
  contextTokens: z.number().int().optional(),
  maxConcurrency: z.number().int().optional(),
})
export type Endpoint = Readonly<z.infer<typeof Endpoint>>
