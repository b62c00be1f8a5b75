import type { Command, Exit } from '../../engines/engine.ts'

/** Names one process for good: a pid alone is used again, and the time since boot begins anew with each boot. */
export interface ProcessId {
  readonly pid: number
  /** When it started, in whatever form the system tells; compared as text. */
  readonly start: string
  readonly bootId: string
}

/**
 * One start of one replica's engine. It is written to disk before the process exists; `process` is known after. All
 * that its processes carry (a variable of their environment, their output file) leads back to `id`.
 */
export interface EngineRun {
  readonly id: string
  readonly logPath: string
  readonly process?: ProcessId | undefined
}

export interface SpawnAsk {
  readonly runId: string
  readonly replica: string
  /** Whose engines these are; a later agent with the same data directory finds them by it. */
  readonly agentId: string
  readonly command: Command
  /** Variables that the engine inherits from the agent, already chosen. */
  readonly inherited: Readonly<Record<string, string>>
  /** An existing directory of its own. */
  readonly workDir: string
  /** Where output is appended. The engine holds the file itself, so it needs no agent to go on. */
  readonly logPath: string
}

export type SpawnResult =
  | {
      readonly kind: 'started'
      readonly process: ProcessId
      /** Resolves when this very process has ended; never rejects. */
      readonly exited: Promise<Exit>
    }
  | {
      readonly kind: 'failed'
      readonly reason: 'program_missing' | 'not_executable' | 'spawn_failed'
      readonly message: string
    }

/** Whose engine runs: found by what its processes carry, not by any record. */
export interface FoundRun {
  readonly runId: string
  readonly replica: string
  /** Absent when the first process has ended and left others behind. */
  readonly process?: ProcessId
}

/**
 * The agent's hands on processes. An engine is its first process, all of that one's process group, and any that left
 * the group but still carry the run's mark.
 */
export interface Spawner {
  /** Names this boot of the machine: no process of another one lives. */
  bootId(): Promise<string>
  /** Starts a program in a process group and session of its own, without a shell. */
  spawn(ask: SpawnAsk): Promise<SpawnResult>
  /** True while this very process runs; a process that has ended but was not reaped does not. */
  isAlive(process: ProcessId): Promise<boolean>
  /** Pids of all that still runs of a run. Never those of strangers that got a number used before. */
  members(run: EngineRun): Promise<readonly number[]>
  /** Signals all members of a run. Nothing happens when there are none. */
  signal(run: EngineRun, signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<void>
  /** Runs of this agent that live, whether recorded or not. */
  find(agentId: string): Promise<readonly FoundRun[]>
  /** How often the kernel has killed processes for want of memory; undefined when it does not tell. */
  memoryKills(): Promise<number | undefined>
}

/** The variables that mark an engine's processes. */
export const MARKS = { agentId: 'YARD_AGENT_ID', replica: 'YARD_REPLICA', runId: 'YARD_RUN' } as const
