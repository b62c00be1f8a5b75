import { randomUUID } from 'node:crypto'
import { type FileHandle, link, open, readFile, readlink, rename, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { YardError } from '../base/errors.ts'

/** An exclusive hold of a directory. */
export interface DirLock {
  /** False once another process has taken the directory, or a person has removed the lock. */
  isHeld(): Promise<boolean>
  release(): Promise<void>
}

/**
 * Takes the directory for this process, or throws `data_dir_unusable` naming the living process that has it.
 * The lock of a process that is gone is taken over.
 *
 * Node has no flock, so who lives is judged by process id, and that judgement can be wrong (two containers that
 * share a volume do not see each other's processes). Therefore the lock also fences: taking over replaces the
 * file, and a holder asks `isHeld` after each write and before it tells anyone of it. Whoever lost the lock
 * stops; whoever took it reads only afterwards, so it has everything that was ever acknowledged.
 */
export async function lockDir(dir: string): Promise<DirLock> {
  const path = join(dir, 'lock')
  const mine = `${path}.${randomUUID()}.tmp`
  const file = await open(mine, 'wx', 0o600)
  try {
    await file.writeFile(`${JSON.stringify(await thisProcess())}\n`)
    if (!(await tryLink(mine, path))) {
      const holder = await readOwner(path)
      if (holder !== undefined && (await isAlive(holder))) throw heldBy(dir, holder)
      await rename(mine, path)
    }
    return holdOf(path, file)
  } catch (error) {
    await file.close()
    throw error
  } finally {
    await unlink(mine).catch(() => {})
  }
}

interface Owner {
  readonly pid: number
  /** When the process started, in clock ticks since boot: tells it from a later one with the same id. */
  readonly startedAtTicks?: string
  readonly bootId?: string
  readonly pidNamespace?: string
}

async function holdOf(path: string, file: FileHandle): Promise<DirLock> {
  // The open file keeps its inode from being used again: same number, same file.
  const own = await file.stat({ bigint: true })
  const isHeld = async () => {
    const now = await stat(path, { bigint: true }).catch(() => undefined)
    return now !== undefined && now.ino === own.ino && now.dev === own.dev
  }
  let released = false
  return {
    isHeld,
    async release() {
      // Once closed, the inode may come back as that of another process's lock.
      if (released) return
      released = true
      if (await isHeld()) await unlink(path).catch(() => {})
      await file.close()
    },
  }
}

/** Atomic, and never replaces a file: false when there is one. */
async function tryLink(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/** Undefined when the file went away meanwhile, or power loss left it empty. */
async function readOwner(path: string): Promise<Owner | undefined> {
  try {
    const owner: unknown = JSON.parse(await readFile(path, 'utf8'))
    const known = typeof owner === 'object' && owner !== null && 'pid' in owner && Number.isInteger(owner.pid)
    return known ? (owner as Owner) : undefined
  } catch {
    return undefined
  }
}

async function isAlive(holder: Owner): Promise<boolean> {
  const self = await thisProcess()
  if (differ(holder.bootId, self.bootId) || differ(holder.pidNamespace, self.pidNamespace)) return false
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    // EPERM: it lives, under another user.
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false
  }
  const now = await readStat(holder.pid)
  if (now === undefined) return true
  return !now.ended && !differ(holder.startedAtTicks, now.startedAtTicks)
}

async function thisProcess(): Promise<Owner> {
  const [own, bootId, pidNamespace] = await Promise.all([
    readStat('self'),
    readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => undefined),
    readlink('/proc/self/ns/pid').catch(() => undefined),
  ])
  return {
    pid: process.pid,
    ...(own === undefined ? {} : { startedAtTicks: own.startedAtTicks }),
    ...(bootId === undefined ? {} : { bootId: bootId.trim() }),
    ...(pidNamespace === undefined ? {} : { pidNamespace }),
  }
}

/** From /proc/<pid>/stat (proc(5)); undefined where there is no such thing. */
async function readStat(
  pid: number | 'self',
): Promise<{ ended: boolean; startedAtTicks: string } | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined)
  // The name in parentheses may hold anything, so fields are counted from the last parenthesis: state is 3rd.
  const fields = text?.slice(text.lastIndexOf(')') + 2).split(' ')
  const [state, startedAtTicks] = [fields?.[0], fields?.[19]]
  if (state === undefined || startedAtTicks === undefined) return undefined
  return { ended: state === 'Z' || state === 'X', startedAtTicks }
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b
}

function heldBy(dir: string, holder: Owner): YardError {
  return new YardError('data_dir_unusable', `${dir} is in use by the process with pid ${holder.pid}.`, {
    reason: 'locked',
    hint: 'Stop that process, or give this one another --data-dir.',
    details: { pid: holder.pid },
  })
}
