import { z } from 'zod'
import { Assignment, Failure } from '../../domain/replica.ts'

/** Who this machine is to control. Written once at registration; `key` is its only credential afterwards. */
export const Identity = z.object({
  agentId: z.string(),
  /** Absent until the machine has registered. */
  registered: z
    .object({ name: z.string(), key: z.string(), agentCredential: z.string().optional() })
    .optional(),
})
export type Identity = Readonly<z.infer<typeof Identity>>

/** One start of an engine, as it is remembered. `process` is absent from before the spawn until just after it. */
const RunRecord = z.object({
  id: z.string(),
  logPath: z.string(),
  startedAtMs: z.number(),
  process: z.object({ pid: z.number().int(), start: z.string(), bootId: z.string() }).optional(),
})

/** What is remembered of a replica, so that an agent that comes later neither loses nor doubles its engine. */
export const ReplicaRecord = z.object({
  assignment: Assignment,
  phase: z.enum([
    'idle',
    'pulling',
    'starting',
    'ready',
    'unhealthy',
    'draining',
    'stopping',
    'stopped',
    'failed',
  ]),
  sinceMs: z.number(),
  restarts: z.number().int(),
  restartedAtMs: z.array(z.number()),
  failure: Failure.optional(),
  retryAtMs: z.number().optional(),
  run: RunRecord.optional(),
  adapters: z.array(z.string()),
  engineVersion: z.string().optional(),
})
export type ReplicaRecord = Readonly<z.infer<typeof ReplicaRecord>>
export type RunRecord = Readonly<z.infer<typeof RunRecord>>

/**
 * What the agent remembers between its starts. What `save…` resolved survives a crash of agent and machine. Faults:
 * `data_dir_unusable`, and at opening `data_dir_newer`.
 */
export interface AgentDisk {
  identity(): Promise<Identity | undefined>
  saveIdentity(identity: Identity): Promise<void>
  /** Whole records only; one that can't be read is put aside and left out. */
  records(): Promise<readonly ReplicaRecord[]>
  saveRecord(record: ReplicaRecord): Promise<void>
  removeRecord(replica: string): Promise<void>
  /** An empty directory for the engine of a replica to run in. */
  workDir(replica: string): Promise<string>
  /** Where engines keep what they compile and download, kept between starts. */
  readonly cacheDir: string
}
