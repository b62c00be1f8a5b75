import { readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { YardError } from '../../base/errors.ts'
import type { ProcessTable } from '../processes/process-table.ts'

const TRIES = 20
const PAUSE_MS = 100

/**
 * Makes sure that one agent uses a directory at a time: two would each start what the other has started. Returns how to
 * give it up. Fault: `data_dir_unusable`.
 *
 * Each lays down a claim that names its process, and only then looks for others; claims of processes that are gone
 * (also by a reboot) do not count. Of two, the one whose claim came later sees the other's, so both can't hold. When
 * they see each other, the lower number waits and the other gives way.
 */
export async function lockDir(
  dir: string,
  own: { readonly pid: number; readonly table: ProcessTable; readonly clock: Clock },
): Promise<() => Promise<void>> {
  const claim = join(dir, `lock.${own.pid}`)
  const release = () => rm(claim, { force: true })
  const row = await own.table.row(own.pid)
  await writeFile(`${claim}.new`, `${await own.table.bootId()} ${row?.start ?? 'unknown'}\n`, { mode: 0o600 })
  await rename(`${claim}.new`, claim)
  for (let tries = 1; ; tries++) {
    const others = await livingClaims(dir, own)
    const first = Math.min(...others)
    if (others.length === 0) return release
    if (tries === TRIES || first < own.pid) {
      await release()
      throw new YardError('data_dir_unusable', `another agent (process ${first}) uses ${dir}`, {
        hint: 'stop it, or give this one its own --data-dir',
      })
    }
    await own.clock.sleep(PAUSE_MS)
  }
}

/** Pids of the others that claim the directory and live. */
async function livingClaims(
  dir: string,
  own: { readonly pid: number; readonly table: ProcessTable },
): Promise<number[]> {
  const bootId = await own.table.bootId()
  const living: number[] = []
  for (const name of await readdir(dir)) {
    const pid = Number(/^lock\.(\d{1,10})$/.exec(name)?.[1] ?? Number.NaN)
    if (Number.isNaN(pid) || pid === own.pid) continue
    const path = join(dir, name)
    const text = await readFile(path, 'utf8').catch(() => undefined)
    if (text === undefined) continue
    const row = await own.table.row(pid)
    if (row && !row.ended && text.trim() === `${bootId} ${row.start}`) living.push(pid)
    else await rm(path, { force: true })
  }
  return living
}
