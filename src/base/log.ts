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
  /** A log whose lines all carry `fields`; `part` among them takes the place of the log's own. */
  with(fields: LogFields): Log
}

const RANK: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** One JSON object a line: `time, level, part, event`, then the fields. */
export function jsonLog(
  write: (line: string, level: LogLevel) => void,
  clock: Clock,
  options: { part: string; level?: LogLevel },
): Log {
  const least = RANK[options.level ?? 'info']
  let lastMs = Number.NaN
  let lastTime = ''
  const timeText = (): string => {
    const nowMs = clock.now()
    // Many lines fall into one millisecond on a busy gateway, and the text costs as much as all the rest.
    if (nowMs !== lastMs) {
      lastMs = nowMs
      lastTime = new Date(nowMs).toISOString()
    }
    return lastTime
  }
  const make = (base: LogFields): Log => {
    // Written once: spreading all fields into one object for each line doubles its cost.
    const { part: partName = options.part, ...rest } = base
    const part = JSON.stringify(partName)
    const always = membersOf(rest)
    const emit = (level: LogLevel, event: string, fields: LogFields = {}) => {
      if (RANK[level] < least) return
      write(
        `{"time":"${timeText()}","level":"${level}","part":${part},"event":${JSON.stringify(event)}${always}${membersOf(fields)}}\n`,
        level,
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

/** The members as JSON text, each with a comma in front. Names are identifiers; half the cost of one stringify. */
function membersOf(fields: LogFields): string {
  let text = ''
  for (const name in fields) {
    const value = fields[name]
    if (typeof value === 'string') text += `,"${name}":${JSON.stringify(value)}`
    else if (typeof value === 'number' && !Number.isFinite(value)) text += `,"${name}":null`
    else if (value !== undefined) text += `,"${name}":${value}`
  }
  return text
}

/** Drops everything. */
export const silentLog: Log = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLog,
}
