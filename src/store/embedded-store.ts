import { readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import { type Log, silentLog } from '../base/log.ts'
import { damagedJournal, dataDirFault, findJournals, journalName, makeDir } from './data-dir.ts'
import { type DirLock, lockDir } from './data-dir-lock.ts'
import { FileJournal } from './file-journal.ts'
import { decodeJournal } from './journal-format.ts'
import { DEFAULT_HISTORY, type HistoryBounds, Keyspace } from './keyspace.ts'
import { KeyspaceStore } from './keyspace-store.ts'
import type { Store } from './store.ts'

export interface EmbeddedStoreOptions {
  /** The store lives in the folder `store` of this directory, which must be on a local disk. */
  readonly dataDir: string
  readonly clock: Clock
  readonly log?: Log
  readonly history?: HistoryBounds
  /** How long a caller waits for the disk before it gets `store_unavailable`. Default 10 s. */
  readonly commitTimeoutMs?: number
  /** See `FileJournalOptions`. Default 16 MiB. */
  readonly rotateBytes?: number
}

/**
 * The durable Store of one server: state in memory, every change in a journal that is on disk before anybody
 * hears of it. What was acknowledged survives `kill -9` and power loss; history and leases survive restarts,
 * and each lease gets its full TTL again. The directory belongs to one process at a time.
 *
 * Throws `data_dir_unusable` (not writable, in use, damaged) and `data_dir_newer`, each with a hint.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<Store> {
  const dir = join(options.dataDir, 'store')
  let lock: DirLock | undefined
  try {
    await makeDir(dir)
    lock = await lockDir(dir)
    const { keyspace, generation } = await recover(dir, options)
    const journal = await FileJournal.begin(
      {
        dir,
        lock,
        state: () => keyspace.state(),
        log: options.log ?? silentLog,
        rotateBytes: options.rotateBytes ?? 16 * 1_048_576,
      },
      generation,
    )
    const { clock, commitTimeoutMs = 10_000 } = options
    return new KeyspaceStore({ keyspace, journal, clock, commitTimeoutMs })
  } catch (error) {
    await lock?.release()
    throw dataDirFault(dir, error)
  }
}

/** Reads the newest journal and leaves it as it is: nothing is ever appended to a file of another run. */
async function recover(
  dir: string,
  options: EmbeddedStoreOptions,
): Promise<{ keyspace: Keyspace; generation: number }> {
  const { generations, leftovers } = await findJournals(dir)
  for (const leftover of leftovers) await unlink(leftover)
  const [generation, ...older] = generations
  const history = options.history ?? DEFAULT_HISTORY
  if (generation === undefined) return { keyspace: new Keyspace(history), generation: 0 }
  const path = join(dir, journalName(generation))
  const decoded = decodeJournal(await readFile(path), generation, history)
  if (decoded.kind === 'damaged') throw damagedJournal(path, decoded.line, decoded.why)
  for (const old of older) await unlink(join(dir, journalName(old)))
  if (decoded.tornBytes > 0) options.log?.warn('store_torn_tail_dropped', { path, bytes: decoded.tornBytes })
  return { keyspace: decoded.keyspace, generation }
}
