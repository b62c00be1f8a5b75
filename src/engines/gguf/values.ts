import { type Cursor, GgufFlaw } from './cursor.ts'
import type { GgufArray, GgufValue } from './gguf.ts'

/** A value's type by its number in a file. The order is the format's. */
export const VALUE_TYPES = [
  'uint8',
  'int8',
  'uint16',
  'int16',
  'uint32',
  'int32',
  'float32',
  'bool',
  'string',
  'array',
  'uint64',
  'int64',
  'float64',
] as const satisfies readonly GgufValue['type'][]

export interface ValueLimits {
  /** Longest string, in bytes. */
  readonly stringBytes: number
  /** Most elements of one array. */
  readonly arrayLength: number
  /** Arrays inside arrays. */
  readonly depth: number
  /** Arrays longer than this are checked and counted but their items are dropped. */
  readonly keepItems: number
}

/** Reads the value that follows a key: its type, then itself. */
export function readValue(cursor: Cursor, key: string, limits: ValueLimits): GgufValue {
  const type = readType(cursor, key)
  if (type === 'array') return readArray(cursor, key, limits, 1)
  return { type, value: readScalar(cursor, type, key, limits) } as GgufValue
}

function readType(cursor: Cursor, key: string): GgufValue['type'] {
  const id = cursor.uint32()
  const type = VALUE_TYPES[id]
  if (type === undefined) throw new GgufFlaw('bad_metadata', `"${key}" has the unknown value type ${id}`)
  return type
}

function readScalar(
  cursor: Cursor,
  type: Exclude<GgufValue['type'], 'array'>,
  key: string,
  limits: ValueLimits,
): number | bigint | boolean | string {
  switch (type) {
    case 'string':
      return cursor.string(limits.stringBytes, `"${key}"`)
    case 'bool': {
      const byte = cursor.uint8()
      if (byte > 1) throw new GgufFlaw('bad_metadata', `"${key}" is neither true nor false but ${byte}`)
      return byte === 1
    }
    default:
      return cursor[type]()
  }
}

/** Bytes of one element, for types that all take the same. */
const FIXED_BYTES: Readonly<Partial<Record<GgufValue['type'], number>>> = {
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  uint64: 8,
  int64: 8,
  float64: 8,
}

function readArray(cursor: Cursor, key: string, limits: ValueLimits, depth: number): GgufArray {
  if (depth > limits.depth) {
    throw new GgufFlaw('limit_exceeded', `"${key}" nests arrays more than ${limits.depth} deep`)
  }
  const of = readType(cursor, key)
  const length = cursor.count(limits.arrayLength, `the length of "${key}"`)
  const keep = length <= limits.keepItems
  const fixedBytes = FIXED_BYTES[of]
  if (!keep && fixedBytes !== undefined) {
    cursor.skip(length * fixedBytes)
    return { type: 'array', of, length }
  }
  const items: (number | bigint | boolean | string | GgufArray)[] = []
  for (let index = 0; index < length; index++) {
    const item =
      of === 'array'
        ? readArray(cursor, key, limits, depth + 1)
        : keep || of === 'bool'
          ? readScalar(cursor, of, key, limits)
          : cursor.skip(cursor.count(limits.stringBytes, `the length of an item of "${key}"`))
    if (keep && item !== undefined) items.push(item)
  }
  return keep ? { type: 'array', of, length, items } : { type: 'array', of, length }
}
