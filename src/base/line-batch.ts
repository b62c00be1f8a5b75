import type { Clock, Timer } from './clock.ts'

/** Gathers lines, so that a busy log costs one write for many of them. */
export interface LineBatch {
  write(line: string): void
  /** Writes what was gathered now. To be called before the process ends. */
  flush(): void
}

/**
 * Lines go to `write` together, at most `maxMs` after the first of them and at most `maxBytes` in one piece. Each is
 * turned into bytes at once: a string that was put together from many parts costs more to keep for a while than to
 * copy.
 */
export function batchLines(
  write: (bytes: Uint8Array) => void,
  clock: Pick<Clock, 'after'>,
  options: { readonly maxMs?: number; readonly maxBytes?: number } = {},
): LineBatch {
  const { maxMs = 20, maxBytes = 64 * 1024 } = options
  let bytes = Buffer.allocUnsafe(maxBytes)
  let used = 0
  let timer: Timer | undefined

  const flush = (): void => {
    timer?.cancel()
    timer = undefined
    if (used === 0) return
    const full = bytes.subarray(0, used)
    // The receiver may still be at work on it when the next line comes.
    bytes = Buffer.allocUnsafe(maxBytes)
    used = 0
    write(full)
  }
  return {
    write(line) {
      // A character takes at most three bytes.
      if (used + line.length * 3 > maxBytes) flush()
      if (line.length * 3 > maxBytes) {
        write(Buffer.from(line))
        return
      }
      used += bytes.write(line, used)
      timer ??= clock.after(maxMs, flush)
    },
    flush,
  }
}
