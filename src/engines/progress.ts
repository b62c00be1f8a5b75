import type { Engine } from './engine.ts'

/** A line, how far it is (0..1), and what to say of it; the functions get the pattern's groups. */
export type ProgressRow = readonly [
  pattern: RegExp,
  fraction: number | ((...groups: string[]) => number) | undefined,
  message: (...groups: string[]) => string,
]

/** Reads lines by the first row that matches. */
export function progressReader(rows: readonly ProgressRow[]): Engine['progress'] {
  return (line) => {
    for (const [pattern, fraction, message] of rows) {
      const match = pattern.exec(line)
      if (!match) continue
      const groups = match.slice(1).map((group) => group ?? '')
      const value = typeof fraction === 'function' ? fraction(...groups) : fraction
      return value === undefined
        ? { message: message(...groups) }
        : { fraction: Math.min(1, Math.max(0, value)), message: message(...groups) }
    }
    return undefined
  }
}
