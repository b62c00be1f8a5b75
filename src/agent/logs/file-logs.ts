import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../base/clock.ts'
import { fileNameOf } from '../disk/file-name.ts'
import { type EngineLogs, type LineFeed, LOG_LIMITS, type LogLimits } from './engine-logs.ts'
import { LogFiles, readPart, sizeOf } from './log-files.ts'
import { countLineEnds, splitLines, startOfLastLines } from './log-text.ts'

/** How often a follower looks for more. */
const FOLLOW_EVERY_MS = 300
/** Most bytes given for one look: a flood is skipped over, not followed. */
const FEED_BYTES = 256 * 1024
const FOLLOW_BYTES = 1024 * 1024
/** Most bytes that a tail may hold, however many lines were asked for. */
const TAIL_BYTES = 16 * 1024 * 1024
const TAIL_STEP_BYTES = 256 * 1024

/** Logs under `dir`, one directory a replica. */
export function fileLogs(deps: {
  readonly dir: string
  readonly clock: Clock
  readonly limits?: LogLimits
}): EngineLogs {
  const limits = deps.limits ?? LOG_LIMITS
  const logs = new Map<string, { files: LogFiles; tail: Promise<unknown> }>()

  const logOf = (replica: string) => {
    const name = fileNameOf(replica)
    let log = logs.get(name)
    if (!log) {
      log = { files: new LogFiles(join(deps.dir, name), limits), tail: Promise.resolve() }
      logs.set(name, log)
    }
    return log
  }

  /** One thing at a time on one replica's files: a cut in the middle of a read would shift its place. */
  const alone = <Result>(replica: string, work: (files: LogFiles) => Promise<Result>): Promise<Result> => {
    const log = logOf(replica)
    const result = log.tail.then(() => work(log.files))
    log.tail = result.catch(() => {})
    return result
  }

  const lastLines = (replica: string, lines: number, run: 'current' | 'previous') =>
    alone(replica, async (files) => {
      const paths = run === 'previous' ? [files.previousPath] : files.currentPaths
      const end = await files.end()
      const exists = (await sizeOf(paths[0] ?? '')) !== undefined
      return exists ? { bytes: await readLastLines(paths, lines), end } : undefined
    })

  return {
    begin: (replica) =>
      alone(replica, async (files) => {
        await files.begin()
        return files.currentPath
      }),

    pathOf: (replica) => logOf(replica).files.currentPath,

    feed(replica): LineFeed {
      let at: number | undefined
      let rest = ''
      const decoder = new TextDecoder()
      return {
        async next() {
          const bytes = await alone(replica, async (files) => {
            const end = await files.end()
            at = Math.max(at ?? 0, end - FEED_BYTES)
            const part = await files.read(at, FEED_BYTES)
            at = part.next
            return part.bytes
          })
          const split = splitLines(rest + decoder.decode(bytes, { stream: true }))
          rest = split.rest
          return split.lines
        },
      }
    },

    async tail(replica, lines, run) {
      return (await lastLines(replica, lines, run))?.bytes
    },

    async *follow(replica, lines, signal) {
      const start = await lastLines(replica, lines, 'current')
      if (start && start.bytes.length > 0) yield start.bytes
      let at = start?.end ?? 0
      while (!signal.aborted) {
        const part = await alone(replica, (files) => files.read(at, FOLLOW_BYTES))
        at = part.next
        if (part.bytes.length > 0) yield part.bytes
        else await deps.clock.sleep(FOLLOW_EVERY_MS, signal).catch(() => {})
      }
    },

    async trim() {
      let dropped = 0
      for (const name of await readdir(deps.dir).catch(() => [])) {
        // Also those that nobody has asked about since the start: their engines write all the same.
        if (!logs.has(name)) {
          logs.set(name, { files: new LogFiles(join(deps.dir, name), limits), tail: Promise.resolve() })
        }
      }
      for (const log of logs.values()) {
        const result = log.tail.then(() => log.files.trim())
        log.tail = result.catch(() => {})
        dropped += await result.catch(() => 0)
      }
      return dropped
    },

    async prune(keep) {
      const kept = new Set([...keep].map(fileNameOf))
      const old: { name: string; changedMs: number }[] = []
      for (const name of await readdir(deps.dir).catch(() => [])) {
        if (kept.has(name)) continue
        const changedMs = await stat(join(deps.dir, name, 'current.log')).then(
          (found) => found.mtimeMs,
          () => 0,
        )
        old.push({ name, changedMs })
      }
      old.sort((a, b) => b.changedMs - a.changedMs)
      for (const { name } of old.slice(limits.forgottenReplicas)) {
        logs.delete(name)
        await rm(join(deps.dir, name), { recursive: true, force: true })
      }
    },
  }
}

/** From the newest file's end backwards, until more lines end there than are wanted: then those are whole. */
async function readLastLines(paths: readonly string[], lines: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  let found = 0
  let bytes = 0
  for (const path of paths) {
    let end = (await sizeOf(path)) ?? 0
    while (end > 0 && found <= lines && bytes < TAIL_BYTES) {
      const start = Math.max(0, end - TAIL_STEP_BYTES)
      const part = await readPart(path, start, end - start)
      // The file was cut meanwhile, which a lone reader never sees.
      if (part.length === 0) break
      parts.unshift(part)
      found += countLineEnds(part)
      bytes += part.length
      end = start
    }
  }
  const whole = Buffer.concat(parts)
  return whole.subarray(startOfLastLines(whole, lines))
}
