import { spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import type { Exit } from '../../engines/engine.ts'
import type { SystemFiles } from '../devices/system-files.ts'
import type { ProcessRow, ProcessTable } from './process-table.ts'
import { type EngineRun, type FoundRun, MARKS, type ProcessId, type Spawner } from './spawner.ts'

/** Real processes. */
export function processSpawner(deps: { readonly table: ProcessTable; readonly files: SystemFiles }): Spawner {
  const { table } = deps
  const idOf = async (row: ProcessRow): Promise<ProcessId> => ({
    pid: row.pid,
    start: row.start,
    bootId: await table.bootId(),
  })

  /** Rows of a run that still run, and whether its group may be signalled as one. */
  const membersOf = async (
    run: EngineRun,
  ): Promise<{ rows: readonly ProcessRow[]; group: number | undefined }> => {
    const rows = await table.rows()
    const running = rows.filter((row) => !row.ended)
    const group = await ownGroup(table, run, rows)
    const strays = await carriersOf(table, run.id, running)
    const members = running.filter(
      (row) => (group !== undefined && row.group === group) || strays.has(row.pid),
    )
    return { rows: members, group: members.some((row) => row.group === group) ? group : undefined }
  }

  return {
    bootId: () => table.bootId(),

    async spawn(ask) {
      const { O_WRONLY, O_APPEND, O_CREAT, O_NOFOLLOW } = constants
      const log = await open(ask.logPath, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0o600)
      try {
        const child = spawn(ask.command.file, [...ask.command.argv], {
          cwd: ask.workDir,
          env: {
            ...ask.inherited,
            ...ask.command.env,
            [MARKS.agentId]: ask.agentId,
            [MARKS.replica]: ask.replica,
            [MARKS.runId]: ask.runId,
          },
          detached: true,
          shell: false,
          stdio: ['ignore', log.fd, log.fd],
        })
        const exited = new Promise<Exit>((resolve) => {
          child.once('exit', (code, signal) =>
            resolve({ ...(code === null ? {} : { code }), ...(signal === null ? {} : { signal }) }),
          )
        })
        await new Promise<void>((resolve, reject) => {
          child.once('spawn', resolve)
          child.once('error', reject)
        })
        // An error after the spawn (a signal that could not be sent) must not end the agent.
        child.on('error', () => {})
        child.unref()
        const pid = child.pid ?? -1
        const row = await table.row(pid)
        return {
          kind: 'started',
          process: { pid, start: row?.start ?? 'ended', bootId: await table.bootId() },
          exited,
        }
      } catch (error) {
        return spawnFailure(ask.command.file, error)
      } finally {
        await log.close()
      }
    },

    async isAlive(process) {
      if (process.bootId !== (await table.bootId())) return false
      const row = await table.row(process.pid)
      return row !== undefined && !row.ended && row.start === process.start
    },

    members: async (run) => (await membersOf(run)).rows.map((row) => row.pid),

    async signal(run, signal) {
      const { rows, group } = await membersOf(run)
      if (group !== undefined) send(-group, signal)
      for (const row of rows) {
        if (row.group !== group) send(row.pid, signal)
      }
    },

    async find(agentId) {
      const found = new Map<string, FoundRun>()
      for (const row of await table.rows()) {
        if (row.ended) continue
        const env = await table.environment(row.pid)
        const runId = env.get(MARKS.runId)
        const replica = env.get(MARKS.replica)
        if (env.get(MARKS.agentId) !== agentId || runId === undefined || replica === undefined) continue
        const isFirst = row.pid === row.group
        if (!found.has(runId) || isFirst) {
          found.set(runId, { runId, replica, ...(isFirst ? { process: await idOf(row) } : {}) })
        }
      }
      return [...found.values()]
    },

    async memoryKills() {
      const match = /^oom_kill (\d{1,15})$/m.exec((await deps.files.readText('/proc/vmstat')) ?? '')
      return match ? Number(match[1]) : undefined
    },
  }
}

/**
 * The run's process group, when it is certain that the number still means ours. While the first process is there, its
 * start tells. When it is gone, the kernel keeps the number for as long as the group has members, but it may have been
 * freed and given out again in between: then one member must carry our mark or write to our log.
 */
async function ownGroup(
  table: ProcessTable,
  run: EngineRun,
  rows: readonly ProcessRow[],
): Promise<number | undefined> {
  const first = run.process
  if (first === undefined || first.bootId !== (await table.bootId())) return undefined
  const holder = rows.find((row) => row.pid === first.pid)
  if (holder) return holder.start === first.start ? first.pid : undefined
  for (const row of rows) {
    if (row.group !== first.pid || row.ended) continue
    if ((await table.environment(row.pid)).get(MARKS.runId) === run.id) return first.pid
    if (await table.writesTo(row.pid, run.logPath)) return first.pid
  }
  return undefined
}

async function carriersOf(
  table: ProcessTable,
  runId: string,
  rows: readonly ProcessRow[],
): Promise<ReadonlySet<number>> {
  const pids = new Set<number>()
  for (const row of rows) {
    if ((await table.environment(row.pid)).get(MARKS.runId) === runId) pids.add(row.pid)
  }
  return pids
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It ended in between, or became another user's: either way it is not ours to signal.
  }
}

function spawnFailure(file: string, error: unknown) {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  if (code === 'ENOENT') {
    return {
      kind: 'failed' as const,
      reason: 'program_missing' as const,
      message: `there is no program "${file}" on this node; install it or put it on the agent's PATH`,
    }
  }
  if (code === 'EACCES') {
    return {
      kind: 'failed' as const,
      reason: 'not_executable' as const,
      message: `"${file}" may not be run by the agent's user`,
    }
  }
  return {
    kind: 'failed' as const,
    reason: 'spawn_failed' as const,
    message: `"${file}" could not be started: ${code || 'unknown error'}`,
  }
}
