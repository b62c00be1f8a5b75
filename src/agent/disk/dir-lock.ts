import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { YardError } from '../../base/errors.ts'
import type { ProcessTable } from '../processes/process-table.ts'

/**
 * Makes sure that one agent uses a directory at a time: two would each start what the other has started. The lock names
 * a process; when that one is gone (also by a reboot) it is taken over. Returns how to release it. Fault:
 * `data_dir_unusable`.
 */
export async function lockDir(
  dir: string,
  own: { readonly pid: number; readonly table: ProcessTable },
): Promise<() => Promise<void>> {
  const path = join(dir, 'lock')
  const draft = join(dir, `lock.${own.pid}`)
  const row = await own.table.row(own.pid)
  const mine = `${own.pid} ${await own.table.bootId()} ${row?.start ?? 'unknown'}\n`
  await writeFile(draft, mine, { mode: 0o600 })
  try {
    for (let tries = 0; tries < 5; tries++) {
      if (await tryLink(draft, path)) return () => release(path, mine)
      const theirs = await readFile(path, 'utf8').catch(() => undefined)
      if (theirs === undefined) continue
      const [pid = '', bootId = '', ...start] = theirs.trim().split(' ')
      const holder = await own.table.row(Number(pid))
      const lives = holder !== undefined && !holder.ended && holder.start === start.join(' ')
      if (lives && bootId === (await own.table.bootId()) && theirs !== mine) {
        throw new YardError('data_dir_unusable', `another agent (process ${pid}) uses ${dir}`, {
          hint: 'stop it, or give this one its own --data-dir',
        })
      }
      await removeStale(path, `${draft}.stale`, theirs)
    }
    throw new YardError('data_dir_unusable', `${path} can't be locked`, {
      hint: 'remove that file and try again',
    })
  } finally {
    await rm(draft, { force: true })
  }
}

/** Of two that find a lock stale, one may have replaced it before the other moves it away: that one is put back. */
async function removeStale(path: string, aside: string, stale: string): Promise<void> {
  try {
    await rename(path, aside)
  } catch {
    return
  }
  if ((await readFile(aside, 'utf8').catch(() => stale)) !== stale) await tryLink(aside, path)
  await rm(aside, { force: true })
}

async function tryLink(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

async function release(path: string, mine: string): Promise<void> {
  const held = await readFile(path, 'utf8').catch(() => undefined)
  if (held === mine) await rm(path, { force: true })
}
