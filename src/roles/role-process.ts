import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { systemClock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import { batchLines } from '../base/line-batch.ts'
import { jsonLog, type Log, type LogLevel } from '../base/log.ts'
import { defaultDataDir } from '../cli/connection.ts'
import type { World } from '../cli/world.ts'
import { nameFrom } from '../domain/names.ts'
import type { PortRange } from '../domain/node.ts'
import type { Tls } from './listen.ts'
import { openLogFile } from './log-file.ts'
import type { Settings } from './settings.ts'

export const ENGINE_PORTS: PortRange = { first: 20_000, last: 29_999 }

/** The data directory: `--data-dir`, `YARD_DATA_DIR`, the configuration file, else the default. Absolute. */
export function dataDirOf(settings: Settings, world: World): string {
  return resolve(settings.text('data-dir') ?? defaultDataDir(world))
}

/** A log on stderr, or in a file that is appended to. Lines are gathered for a moment, and written before the end. */
export function roleLog(settings: Settings, part: string, file?: string): Log {
  const level = settings.text('log-level') ?? 'info'
  if (!['debug', 'info', 'warn', 'error'].includes(level)) {
    throw new YardError('usage', `--log-level takes debug, info, warn or error, not "${level}"`)
  }
  const sink = file === undefined ? process.stderr : openLogFile(file)
  const lines = batchLines((bytes) => void sink.write(bytes), systemClock)
  process.once('exit', () => lines.flush())
  return jsonLog((line) => lines.write(line), systemClock, { part, level: level as LogLevel })
}

/** A port of this machine, 0 for any free one. */
export function portOf(settings: Settings, flag: string, otherwise: number): number {
  const text = settings.text(flag)
  if (text === undefined) return otherwise
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port >= 0 && port <= 65_535)) throw new YardError('usage', `--${flag} takes a port, not "${text}"`)
  return port
}

/** `20000-20999` as a range of ports. */
export function enginePortsOf(settings: Settings): PortRange {
  const text = settings.text('engine-ports')
  if (text === undefined) return ENGINE_PORTS
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text)
  const range = { first: Number(match?.[1]), last: Number(match?.[2]) }
  if (!match || range.first < 1 || range.last > 65_535 || range.first > range.last) {
    throw new YardError('usage', `--engine-ports takes first-last, not "${text}"`, {
      hint: 'for example --engine-ports 20000-20999',
    })
  }
  return range
}

/** Certificate and key, both or neither. */
export function tlsOf(settings: Settings): { tls?: Tls } {
  const certFile = settings.text('tls-cert-file')
  const keyFile = settings.text('tls-key-file')
  if (certFile === undefined && keyFile === undefined) return {}
  if (certFile === undefined || keyFile === undefined)
    throw new YardError('usage', '--tls-cert-file and --tls-key-file go together')
  return { tls: { certFile: resolve(certFile), keyFile: resolve(keyFile) } }
}

/** The name of this machine for the cluster: `--name`, else its host name. */
export function machineName(settings: Settings): string {
  const asked = settings.text('name')
  const name = asked ?? nameFrom(hostname().split('.')[0] ?? '') ?? 'node'
  return name
}

/** Told of each SIGINT and SIGTERM, with how many there were. */
export function onStopSignals(listener: (count: number, signal: NodeJS.Signals) => void): () => void {
  let count = 0
  const handler = (signal: NodeJS.Signals) => {
    count++
    listener(count, signal)
  }
  process.on('SIGINT', handler)
  process.on('SIGTERM', handler)
  return () => {
    process.off('SIGINT', handler)
    process.off('SIGTERM', handler)
  }
}
