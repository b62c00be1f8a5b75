import { constants } from 'node:fs'
import { access, chmod, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { errorText, isYardError, YardError } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { syncDir, writePrivateFile } from '../../base/private-file.ts'
import { type AgentDisk, Identity, ReplicaRecord } from './agent-disk.ts'
import { fileNameOf } from './file-name.ts'

/** Of everything in the directory; a change that older agents can't read raises it. */
const FORMAT = 1

/**
 * The agent's state in `dir` (its own, 0700): `identity.json`, `replicas/`, `work/`, `cache/`, beside the logs and the
 * models. Faults: `data_dir_unusable`; `data_dir_newer` when a later version has written there.
 */
export async function openFileDisk(dir: string, log: Log): Promise<AgentDisk> {
  const replicasDir = join(dir, 'replicas')
  const workRoot = join(dir, 'work')
  const cacheDir = join(dir, 'cache')
  const identityPath = join(dir, 'identity.json')
  await usable(dir, async () => {
    for (const path of [dir, replicasDir, workRoot, cacheDir]) {
      await mkdir(path, { recursive: true, mode: 0o700 })
      await chmod(path, 0o700)
      await access(path, constants.R_OK | constants.W_OK | constants.X_OK)
    }
    await readFormat(join(dir, 'format.json'))
  })

  const recordPath = (replica: string) => join(replicasDir, `${fileNameOf(replica)}.json`)

  const readRecord = async (path: string): Promise<ReplicaRecord | undefined> => {
    const text = await readFile(path, 'utf8')
    const parsed = ReplicaRecord.safeParse(parseJson(text))
    if (parsed.success) return parsed.data
    // Its engine, if it runs, is still found by its mark.
    log.error('replica_record_unreadable', { path, problem: parsed.error.issues[0]?.message ?? 'not JSON' })
    await rename(path, `${path}.broken`)
    return undefined
  }

  return {
    cacheDir,

    identity: () =>
      usable(dir, async () => {
        const text = await readFile(identityPath, 'utf8').catch(absent)
        if (text === undefined) return undefined
        const parsed = Identity.safeParse(parseJson(text))
        if (parsed.success) return parsed.data
        throw new YardError('data_dir_unusable', `${identityPath} is damaged`, {
          hint: 'restore it from a backup, or remove it, remove the node in control, and join again with a token',
        })
      }),

    saveIdentity: (identity) =>
      usable(dir, () => writePrivateFile(identityPath, `${JSON.stringify(identity, undefined, 2)}\n`)),

    records: () =>
      usable(dir, async () => {
        const names = (await readdir(replicasDir)).filter((name) => name.endsWith('.json')).sort()
        const records: ReplicaRecord[] = []
        for (const name of names) {
          const record = await readRecord(join(replicasDir, name))
          if (record) records.push(record)
        }
        return records
      }),

    saveRecord: (record) =>
      usable(dir, () =>
        writePrivateFile(recordPath(record.assignment.replica), `${JSON.stringify(record)}\n`),
      ),

    removeRecord: (replica) =>
      usable(dir, async () => {
        await rm(recordPath(replica), { force: true })
        await rm(join(workRoot, fileNameOf(replica)), { recursive: true, force: true })
        await syncDir(replicasDir)
      }),

    workDir: (replica) =>
      usable(dir, async () => {
        const path = join(workRoot, fileNameOf(replica))
        await rm(path, { recursive: true, force: true })
        await mkdir(path, { mode: 0o700 })
        return path
      }),
  }
}

async function readFormat(path: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(absent)
  if (text === undefined) {
    await writePrivateFile(path, `${JSON.stringify({ format: FORMAT })}\n`)
    return
  }
  const parsed = z.object({ format: z.number().int() }).safeParse(parseJson(text))
  if (!parsed.success) {
    throw new YardError('data_dir_unusable', `${path} is damaged`, {
      hint: `when this directory is the agent's, write {"format": ${FORMAT}} into it`,
    })
  }
  if (parsed.data.format > FORMAT) {
    throw new YardError(
      'data_dir_newer',
      `${path} was written by a newer version (format ${parsed.data.format})`,
      {
        hint: `this version reads format ${FORMAT}; run the newer version, or give another --data-dir`,
      },
    )
  }
}

/** Faults of the file system as the one that says what to do. */
async function usable<Result>(dir: string, work: () => Promise<Result>): Promise<Result> {
  try {
    return await work()
  } catch (cause) {
    if (isYardError(cause)) throw cause
    throw new YardError(
      'data_dir_unusable',
      `the agent's directory ${dir} can't be used: ${errorText(cause)}`,
      {
        hint: 'make it writable for the agent’s user and see that the disk is not full, or choose another --data-dir',
        cause,
      },
    )
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function absent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}
