/** Bytes for people, in binary units. */
export function bytesText(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  const at = bytes < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log2(bytes) / 10))
  const amount = bytes / 2 ** (10 * at)
  return `${amount.toFixed(at === 0 || amount >= 100 ? 0 : 1)} ${units[at]}`
}

/** A length of time in its largest unit: `5s`, `12m`, `6d`, or `5秒`. */
export function ageText(ms: number, language: string): string {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 120) return amount(seconds, 'second', language)
  if (seconds < 7_200) return amount(Math.floor(seconds / 60), 'minute', language)
  if (seconds < 172_800) return amount(Math.floor(seconds / 3_600), 'hour', language)
  return amount(Math.floor(seconds / 86_400), 'day', language)
}

function amount(count: number, unit: string, language: string): string {
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'narrow' }).format(count)
}
