import type { Clock } from '../../base/clock.ts'
import type { Log } from '../../base/log.ts'
import type { Random } from '../../base/random.ts'
import type { EngineName } from '../../domain/engine-name.ts'
import type { Device } from '../../domain/node.ts'
import type { Engine } from '../../engines/engine.ts'
import type { AgentDisk } from '../disk/agent-disk.ts'
import type { EngineHttp } from '../http/engine-http.ts'
import type { EngineLogs } from '../logs/engine-logs.ts'
import type { EnginePorts } from '../ports/engine-ports.ts'
import type { Spawner } from '../processes/spawner.ts'
import type { ModelFiles } from '../sources/model-files.ts'

/** What the worker of a replica works with. */
export interface ReplicaDeps {
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly newId: () => string
  readonly agentId: string
  readonly disk: AgentDisk
  readonly logs: EngineLogs
  readonly models: ModelFiles
  readonly spawner: Spawner
  readonly ports: EnginePorts
  readonly http: EngineHttp
  readonly engineOf: (name: EngineName) => Engine | undefined
  readonly devices: () => readonly Device[]
  /** Waits for the first reading of the devices; then tells what kept some of them from being read. */
  readonly deviceProblems: () => Promise<readonly string[]>
  /** Variables that engines inherit. */
  readonly inherited: Readonly<Record<string, string>>
  readonly yardCommand: readonly [string, ...string[]]
  /** Processors that one engine may take. */
  readonly threads: number
  readonly allowCommand: boolean
  /** Requests that pass through the agent's proxy to a replica now. */
  readonly proxied: (replica: string) => number
  /** Ends those requests. */
  readonly endProxied: (replica: string) => void
  /** Told after each change that is worth a decision or a report. */
  readonly changed: () => void
}
