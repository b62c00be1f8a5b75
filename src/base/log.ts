import type { Clock } from './clock.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>

/**
 * Structured log. `event` is a constant in snake_case, everything that varies goes into fields. Never pass
 * prompts, completions, keys or whole error objects of other programs.
 */
export interface Log {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  warn(event: string, fields?: LogFields): void
  error(event: string, fields?: LogFields): void
  /** A log whose lines all carry `fields`. */
  with(fields: LogFields): Log
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** One JSON object a line: `time, level, part, event`, then the fields. */
export function jsonLog(
  write: (line: string) => void,
  clock: Clock,
  options: { part: string; level?: LogLevel },
): Log {
  const least = RANK[options.level ?? 'info']
  const make = (base: LogFields): Log => {
    const emit = (level: LogLevel, event: string, fields: LogFields = {}) => {
      if (RANK[level] < least) return
      write(
        `${JSON.stringify({ time: new Date(clock.now()).toISOString(), level, part: options.part, event, ...base, ...fields })}\n`,
      )
    }
    return {
      debug: (event, fields) => emit('debug', event, fields),
      info: (event, fields) => emit('info', event, fields),
      warn: (event, fields) => emit('warn', event, fields),
      error: (event, fields) => emit('error', event, fields),
      with: (fields) => make({ ...base, ...fields }),
    }
  }
  return make({})
}

/** Drops everything. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
}
