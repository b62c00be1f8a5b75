/**
 * JSON with the keys of every object in code-point order and absent (`undefined`) fields left out, so that equal
 * values have equal text. For hashes and comparisons of plain data: no dates, maps or cycles.
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, field: unknown) => (isPlainObject(field) ? sorted(field) : field)) ?? ''
}

/** True when both have the same canonical JSON. */
export function sameJson(left: unknown, right: unknown): boolean {
  return left === right || canonicalJson(left) === canonicalJson(right)
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function sorted(record: Record<string, unknown>): Record<string, unknown> {
  const keys = Object.keys(record).sort()
  // Integer-like keys are always enumerated first and in numeric order, whatever the order of insertion; that is
  // one order too, so equal values still have equal text.
  return Object.fromEntries(keys.map((key) => [key, record[key]]))
}
