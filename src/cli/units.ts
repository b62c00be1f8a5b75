import { YardError } from '../base/errors.ts'

const BYTE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  k: 1e3,
  kb: 1e3,
  m: 1e6,
  mb: 1e6,
  g: 1e9,
  gb: 1e9,
  t: 1e12,
  tb: 1e12,
  kib: 2 ** 10,
  ki: 2 ** 10,
  mib: 2 ** 20,
  mi: 2 ** 20,
  gib: 2 ** 30,
  gi: 2 ** 30,
  tib: 2 ** 40,
  ti: 2 ** 40,
}

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1e3, m: 60e3, h: 3_600e3, d: 86_400e3 }

/** `40GiB`, `512MB`, `1.5g` as bytes. */
export function parseBytes(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text.trim())
  const unit = BYTE_UNITS[(match?.[2] ?? '').toLowerCase() || 'b']
  const bytes = Math.round(Number(match?.[1]) * (unit ?? Number.NaN))
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new YardError('usage', `${flag} does not understand "${text}"`, {
      hint: 'write a size such as 40GiB or 512MB',
    })
  }
  return bytes
}

/** `250ms`, `30s`, `5m`, `2h`, `7d` as milliseconds; a bare number is seconds. */
export function parseDurationMs(text: string, flag: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text.trim())
  const ms = Number(match?.[1]) * (DURATION_UNITS[match?.[2] ?? 's'] ?? Number.NaN)
  if (!Number.isFinite(ms) || ms <= 0) {
    throw new YardError('usage', `${flag} does not understand "${text}"`, {
      hint: 'write a duration such as 30s, 5m or 2h',
    })
  }
  return Math.round(ms)
}

/** A whole number within bounds. */
export function parseCount(text: string, flag: string, least: number, most: number): number {
  const count = /^-?\d+$/.test(text) ? Number(text) : Number.NaN
  if (!(count >= least && count <= most)) {
    throw new YardError('usage', `${flag} takes a whole number from ${least} to ${most}, not "${text}"`)
  }
  return count
}

/** `key=value` pairs as a record. */
export function parsePairs(texts: readonly string[], flag: string): Record<string, string> {
  const pairs: Record<string, string> = {}
  for (const text of texts) {
    const at = text.indexOf('=')
    if (at < 1) throw new YardError('usage', `${flag} takes key=value, not "${text}"`)
    pairs[text.slice(0, at)] = text.slice(at + 1)
  }
  return pairs
}

/** Bytes for people, in binary units. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['TiB', 2 ** 40],
    ['GiB', 2 ** 30],
    ['MiB', 2 ** 20],
    ['KiB', 2 ** 10],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(bytes / size >= 100 ? 0 : 1)} ${unit}`
  }
  return `${bytes} B`
}

/** How long ago, in the largest unit: `5s`, `12m`, `6d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 120) return `${seconds}s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)}h`
  return `${Math.floor(seconds / 86_400)}d`
}
