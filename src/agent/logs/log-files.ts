import { constants } from 'node:fs'
import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'

const CHUNK_BYTES = 1024 * 1024

/**
 * The log files of one replica, in a directory of the agent's own. `current.log` grows; `current.1.log` is what was cut
 * from it last, higher numbers are older; `previous.log` is the end of the run before. Not for concurrent use.
 */
export class LogFiles {
  readonly #dir: string
  readonly #fileBytes: number
  readonly #files: number
  /** Bytes of this run that stood before the first byte of `current.log`, as far as this agent has seen. */
  #before = 0

  constructor(dir: string, limits: { readonly fileBytes: number; readonly files: number }) {
    this.#dir = dir
    this.#fileBytes = limits.fileBytes
    this.#files = limits.files
  }

  get currentPath(): string {
    return join(this.#dir, 'current.log')
  }

  get previousPath(): string {
    return join(this.#dir, 'previous.log')
  }

  /** Files of the present run, newest first. */
  get currentPaths(): string[] {
    return [
      this.currentPath,
      ...Array.from({ length: this.#files - 1 }, (_, index) => this.#older(index + 1)),
    ]
  }

  async begin(): Promise<void> {
    await mkdir(this.#dir, { recursive: true, mode: 0o700 })
    const sizeBytes = await sizeOf(this.currentPath)
    if (sizeBytes !== undefined) {
      if (sizeBytes > this.#fileBytes) await this.#cut(sizeBytes)
      else this.#before += sizeBytes
      const newest = (await sizeOf(this.currentPath)) === 0 ? this.#older(1) : this.currentPath
      await rename(newest, this.previousPath).catch(() => {})
    }
    for (const path of this.currentPaths) await rm(path, { force: true })
  }

  /** Where the run's output ends now, counted from its beginning. */
  async end(): Promise<number> {
    return this.#before + ((await sizeOf(this.currentPath)) ?? 0)
  }

  /**
   * At most `maxBytes` from a place of the run. `next` is where to go on: behind what was read, or behind a gap when
   * that place is no longer kept.
   */
  async read(from: number, maxBytes: number): Promise<{ readonly bytes: Uint8Array; readonly next: number }> {
    if (from < this.#before) {
      const cutBytes = (await sizeOf(this.#older(1))) ?? 0
      const start = Math.max(from, this.#before - cutBytes)
      const bytes = await readPart(this.#older(1), start - (this.#before - cutBytes), maxBytes)
      return bytes.length > 0 ? { bytes, next: start + bytes.length } : { bytes, next: this.#before }
    }
    const sizeBytes = (await sizeOf(this.currentPath)) ?? 0
    // Somebody else has emptied the file: what comes now begins at its start.
    if (from > this.#before + sizeBytes) this.#before = from
    const bytes = await readPart(this.currentPath, from - this.#before, maxBytes)
    return { bytes, next: from + bytes.length }
  }

  /** Cuts the growing file when it is too long; the bytes dropped because they came faster than they could be kept. */
  async trim(): Promise<number> {
    const sizeBytes = await sizeOf(this.currentPath)
    if (sizeBytes === undefined || sizeBytes <= this.#fileBytes) return 0
    return this.#cut(sizeBytes)
  }

  /**
   * Copies the end of the growing file aside and empties it. The engine appends, so its next write lands at the start
   * of the emptied file and leaves no hole; only what it writes between the copy's end and the cut is lost.
   */
  async #cut(sizeBytes: number): Promise<number> {
    for (let number = this.#files - 1; number > 1; number--) {
      await rename(this.#older(number - 1), this.#older(number)).catch(() => {})
    }
    const source = await openLog(this.currentPath, constants.O_RDWR)
    try {
      const target = await openLog(this.#older(1), constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC)
      try {
        const skipped = Math.max(0, sizeBytes - this.#fileBytes)
        if (skipped > CHUNK_BYTES) await target.write(`[yard] ${skipped} bytes of log were dropped here\n`)
        const copiedTo = await copyRange(source, target, skipped, this.#fileBytes * 2)
        const { size } = await source.stat()
        await source.truncate(0)
        this.#before += size
        return skipped + Math.max(0, size - copiedTo)
      } finally {
        await target.close()
      }
    } finally {
      await source.close()
    }
  }

  #older(number: number): string {
    return join(this.#dir, `current.${number}.log`)
  }
}

/** Reads from a place to the file's end, following no links; fewer bytes at the end, none when there is no file. */
export async function readPart(path: string, from: number, maxBytes: number): Promise<Uint8Array> {
  const file = await openLog(path, constants.O_RDONLY).catch(() => undefined)
  if (!file) return new Uint8Array()
  try {
    const buffer = new Uint8Array(Math.min(maxBytes, Math.max(0, (await file.stat()).size - from)))
    let length = 0
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, from + length)
      if (bytesRead === 0) break
      length += bytesRead
    }
    return buffer.subarray(0, length)
  } finally {
    await file.close()
  }
}

export async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => found.size,
    () => undefined,
  )
}

async function copyRange(
  source: FileHandle,
  target: FileHandle,
  from: number,
  maxBytes: number,
): Promise<number> {
  const buffer = new Uint8Array(CHUNK_BYTES)
  let at = from
  while (at - from < maxBytes) {
    const { bytesRead } = await source.read(buffer, 0, buffer.length, at)
    if (bytesRead === 0) break
    await target.write(buffer, 0, bytesRead)
    at += bytesRead
  }
  return at
}

function openLog(path: string, flags: number): Promise<FileHandle> {
  return open(path, flags | constants.O_NOFOLLOW, 0o600)
}
