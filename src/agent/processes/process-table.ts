import type { Exec } from '../devices/device-probe.ts'

export interface ProcessRow {
  readonly pid: number
  readonly group: number
  readonly start: string
  /** It has ended and waits for its parent to notice. */
  readonly ended: boolean
}

/** The processes of this machine, as far as this user may see them. */
export interface ProcessTable {
  bootId(): Promise<string>
  row(pid: number): Promise<ProcessRow | undefined>
  rows(): Promise<readonly ProcessRow[]>
  /** Variables of a process's environment; empty when they can't be read or it has overwritten them. */
  environment(pid: number): Promise<ReadonlyMap<string, string>>
  /** True when its output goes to this file. */
  writesTo(pid: number, path: string): Promise<boolean>
}

/**
 * Reads `/proc/<pid>/stat`. The program's name stands in brackets and may hold any character; what follows the last
 * closing one is fixed: state, parent, group … and as the 22nd field the start in ticks since boot.
 */
export function parseProcStat(text: string): ProcessRow | undefined {
  const close = text.lastIndexOf(')')
  const pid = Number(/^(\d{1,10}) \(/.exec(text)?.[1])
  const fields = text
    .slice(close + 1)
    .trim()
    .split(' ')
  const [state = '', , group = ''] = fields
  const start = fields[19] ?? ''
  if (close < 0 || !Number.isInteger(pid) || !/^\d{1,10}$/.test(group) || !/^\d{1,20}$/.test(start)) {
    return undefined
  }
  return { pid, group: Number(group), start, ended: state === 'Z' || state === 'X' || state === 'x' }
}

/** Reads `ps -A -o pid=,pgid=,stat=,lstart=`, for systems without `/proc`. */
export function parsePs(text: string): ProcessRow[] {
  const rows: ProcessRow[] = []
  for (const line of text.split('\n')) {
    const match = /^\s*(\d{1,10})\s+(\d{1,10})\s+(\S{1,10})\s+(\S.{0,60}?)\s*$/.exec(line)
    if (!match?.[1] || !match[2] || !match[3] || !match[4]) continue
    rows.push({
      pid: Number(match[1]),
      group: Number(match[2]),
      start: match[4].replace(/\s+/g, ' '),
      ended: match[3].startsWith('Z'),
    })
  }
  return rows
}

/**
 * Processes by `ps`. It tells no environment and no open files, so an engine whose first process has ended can't be
 * told from a stranger: its group is then left alone.
 */
export function psProcessTable(exec: Exec): ProcessTable {
  const rows = async () => {
    const result = await exec('ps', ['-A', '-o', 'pid=,pgid=,stat=,lstart='], 5_000)
    return result.kind === 'exited' ? parsePs(result.stdout) : []
  }
  return {
    bootId: async () => 'unknown',
    rows,
    row: async (pid) => (await rows()).find((row) => row.pid === pid),
    environment: async () => new Map(),
    writesTo: async () => false,
  }
}
