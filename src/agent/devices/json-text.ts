/**
 * The JSON in what a tool printed, or undefined. ROCm's tools print warnings before it, some of which begin with a
 * bracket themselves.
 */
export function jsonIn(text: string): unknown {
  const end = Math.max(text.lastIndexOf('}'), text.lastIndexOf(']')) + 1
  let tries = 0
  for (const match of text.matchAll(/^[ \t]*[[{]/gm)) {
    if (++tries > 20) return undefined
    try {
      return JSON.parse(text.slice(match.index, end))
    } catch {
      // A warning line; the next line that begins with a bracket may be the one.
    }
  }
  return undefined
}

/** `value` as an object with unknown fields; an empty one when it is none. */
export function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

/** The number in `12`, `"12.5"` or `{"value": 12, "unit": "MB"}`; undefined for `"N/A"` and all else. */
export function amountIn(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined
  if (typeof value === 'string')
    return /^-?\d{1,18}(\.\d{1,6})?$/.test(value.trim()) ? Number(value) : undefined
  const inner = fieldsOf(value).value
  return inner === undefined || typeof inner === 'object' ? undefined : amountIn(inner)
}

/** Text that tells something: not empty and not `N/A`. */
export function textIn(value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = value.trim()
  return text === '' || /^(n\/a|none|unknown)$/i.test(text) ? undefined : text.slice(0, 150)
}
