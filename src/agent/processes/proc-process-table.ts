import { readdir, readFile, readlink } from 'node:fs/promises'
import { type ProcessRow, type ProcessTable, parseProcStat } from './process-table.ts'

/** Processes by Linux's `/proc`. */
export function procProcessTable(): ProcessTable {
  let bootId: string | undefined
  const row = async (pid: number) => {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
    return text === undefined ? undefined : parseProcStat(text)
  }
  return {
    async bootId() {
      bootId ??= (await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => 'unknown')).trim()
      return bootId
    },
    row,
    async rows() {
      const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
      const rows = await Promise.all(names.map((name) => row(Number(name))))
      return rows.filter((found): found is ProcessRow => found !== undefined)
    },
    async environment(pid) {
      const text = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '')
      const entries = text.split('\0').flatMap((entry): [string, string][] => {
        const at = entry.indexOf('=')
        return at > 0 ? [[entry.slice(0, at), entry.slice(at + 1)]] : []
      })
      return new Map(entries)
    },
    async writesTo(pid, path) {
      for (const fd of [1, 2]) {
        if ((await readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')) === path) return true
      }
      return false
    },
  }
}
