import { type FileHandle, link, open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { syncDir } from '../base/private-file.ts'
import { journalName } from './data-dir.ts'
import type { DirLock } from './data-dir-lock.ts'
import { encodeBatch, encodeState } from './journal-format.ts'
import type { Effect, KeyspaceState } from './keyspace.ts'
import type { Journal } from './keyspace-store.ts'

/** What a FileJournal needs of its surroundings. */
export interface FileJournalOptions {
  readonly dir: string
  readonly lock: DirLock
  /** The present state, with every effect appended so far: a new file starts with it. */
  readonly state: () => KeyspaceState
  readonly log: Log
  /** A new file is begun when the batches in this one exceed this, and twice the state they follow. */
  readonly rotateBytes: number
}

/**
 * A journal in files, of which only the newest counts. While one batch is on its way to the disk the next one
 * gathers, so however many wait, they share an fsync. After a failed write or fsync nothing is known of the
 * file's end (a second fsync may lie), so the journal takes nothing more; opening anew reads what there is.
 */
export class FileJournal implements Journal {
  readonly #options: FileJournalOptions
  #generation: number
  #file: FileHandle | undefined
  #stateBytes = 0
  #batchBytes = 0
  #waiting: Appended[] = []
  #waitingBytes = 0
  #flushing: Promise<void> | undefined
  #fault: YardError | undefined

  private constructor(options: FileJournalOptions, lastGeneration: number) {
    this.#options = options
    this.#generation = lastGeneration
  }

  /** Begins the file after `lastGeneration` and removes that one. */
  static async begin(options: FileJournalOptions, lastGeneration: number): Promise<FileJournal> {
    const journal = new FileJournal(options, lastGeneration)
    await journal.#rotate()
    return journal
  }

  append(effect: Effect): Promise<void> {
    if (this.#fault !== undefined) throw this.#fault
    if (this.#waitingBytes > MAX_WAITING_BYTES) throw overloaded()
    const json = JSON.stringify(effect)
    return new Promise((resolve, reject) => {
      this.#waiting.push({ json, resolve, reject })
      this.#waitingBytes += json.length
      // Not at once: everything asked for in this turn of the event loop goes into the same batch.
      this.#flushing ??= Promise.resolve().then(() => this.#flush())
    })
  }

  async close(): Promise<void> {
    await this.#flushing
    this.#fault ??= new YardError('store_unavailable', 'The store was closed.', { reason: 'closed' })
    await this.#file?.close()
    this.#file = undefined
    await this.#options.lock.release()
  }

  async #flush(): Promise<void> {
    let batch: Appended[] = []
    try {
      while (this.#waiting.length > 0) {
        const full = this.#batchBytes > Math.max(this.#options.rotateBytes, 2 * this.#stateBytes)
        batch = full ? this.#take(Number.POSITIVE_INFINITY) : this.#take(MAX_BATCH_BYTES)
        // The state that a new file starts with holds the batch already.
        await (full ? this.#rotate() : this.#write(batch))
        for (const { resolve } of batch) resolve()
      }
    } catch (error) {
      this.#fail(error, batch)
    } finally {
      this.#flushing = undefined
    }
  }

  #take(maxBytes: number): Appended[] {
    let count = 0
    let bytes = 0
    for (; count < this.#waiting.length && bytes < maxBytes; count++)
      bytes += this.#waiting[count]?.json.length ?? 0
    this.#waitingBytes -= bytes
    return this.#waiting.splice(0, count)
  }

  async #write(batch: readonly Appended[]): Promise<void> {
    if (this.#file === undefined) throw new Error('the journal has no file')
    const line = Buffer.from(
      encodeBatch(
        batch.map((b) => b.json),
        this.#generation,
      ),
    )
    await this.#file.appendFile(line)
    this.#batchBytes += line.length
    // Whoever takes the lock reads through the same page cache: after the write, lock and disk may be asked at once.
    await Promise.all([this.#file.datasync(), this.#assertLocked()])
  }

  async #rotate(): Promise<void> {
    const { dir, log } = this.#options
    // Before the first await: what is appended from here on belongs to the next batch, not to this state.
    const state = this.#options.state()
    const generation = this.#generation + 1
    const path = join(dir, journalName(generation))
    const file = await open(`${path}.tmp`, 'wx', 0o600)
    try {
      const bytes = await writeAll(file, encodeState(state, generation))
      await file.datasync()
      // Unlike rename, link never replaces: a process that lost the lock cannot overwrite its successor's file.
      await link(`${path}.tmp`, path)
      await unlink(`${path}.tmp`)
      await syncDir(dir)
      await this.#assertLocked()
      await this.#file?.close()
      await unlink(join(dir, journalName(this.#generation))).catch(() => {})
      this.#file = file
      this.#generation = generation
      this.#stateBytes = bytes
      this.#batchBytes = 0
      log.debug('store_journal_begun', { generation, bytes })
    } catch (error) {
      await file.close()
      throw error
    }
  }

  async #assertLocked(): Promise<void> {
    if (await this.#options.lock.isHeld()) return
    throw new YardError('store_unavailable', `Another process has taken ${this.#options.dir}.`, {
      reason: 'lock_lost',
      hint: 'Only one server may use a data directory: stop one of the two. For more than one server use etcd.',
    })
  }

  #fail(error: unknown, batch: readonly Appended[]): void {
    const fault = isYardError(error) ? error : writeFault(this.#options.dir, error)
    this.#fault = fault
    this.#options.log.error('store_failed', { reason: fault.reason, message: fault.message })
    for (const { reject } of [...batch, ...this.#waiting]) reject(fault)
    this.#waiting = []
    this.#waitingBytes = 0
  }
}

interface Appended {
  readonly json: string
  readonly resolve: () => void
  readonly reject: (error: YardError) => void
}

const MAX_BATCH_BYTES = 4 * 1_048_576
const MAX_WAITING_BYTES = 64 * 1_048_576
const CHUNK_BYTES = 256 * 1024

/** Writes lines in chunks, so that other work runs in between; answers how many bytes they were. */
async function writeAll(file: FileHandle, lines: Iterable<string>): Promise<number> {
  let bytes = 0
  let chunk = ''
  const write = async () => {
    const buffer = Buffer.from(chunk)
    chunk = ''
    bytes += buffer.length
    await file.appendFile(buffer)
  }
  for (const line of lines) {
    chunk += line
    if (chunk.length >= CHUNK_BYTES) await write()
  }
  await write()
  return bytes
}

function writeFault(dir: string, error: unknown): YardError {
  return new YardError('store_unavailable', `The store could not write in ${dir}: ${errorText(error)}.`, {
    reason: 'write_failed',
    hint: 'Mend the disk (is it full?) and restart this process; every acknowledged change is kept.',
    cause: error,
  })
}

function overloaded(): YardError {
  return new YardError('store_unavailable', 'More changes wait for the disk than the store takes.', {
    reason: 'overloaded',
    hint: 'Nothing was applied. Try again later; if this lasts, the disk is too slow for this cluster.',
  })
}
