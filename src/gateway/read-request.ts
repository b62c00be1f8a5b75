import { JSON_BYTE, JsonCursor } from './json-cursor.ts'

/** Where a value stands in the body: first byte and the byte after the last. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** The fields of a request body that the gateway decides on. Everything else passes unseen. */
export interface RequestBodyFacts {
  readonly kind: 'read'
  readonly model: string
  /** The JSON text of `model` with its quotes, to be replaced for a service that knows the model by another name. */
  readonly modelRange: ByteRange
  readonly stream: boolean
  /** `stream_options.include_usage`. */
  readonly includeUsage: boolean
  /** `max_completion_tokens`, or `max_tokens` when only that is given. */
  readonly maxTokens: number | undefined
  /** Choices asked for. */
  readonly choices: number
  readonly user: string | undefined
}

export interface UnreadableBody {
  readonly kind: 'unreadable'
  readonly reason: 'invalid_json' | 'invalid_value' | 'missing_field'
  readonly message: string
  readonly param?: string
}

/**
 * Reads the few top-level fields that a gateway needs, without parsing the rest. What it accepts may still be
 * wrong JSON inside a skipped string or number: the engine answers that. What it refuses:
 * - a body whose brackets and quotes don't match, or that is no object;
 * - a field it reads of the wrong type, or given twice. JSON.parse would take the last and some engines take
 *   the first, so that a request could be authorized for one model and served by another.
 * - nesting deeper than 512.
 */
export function readRequest(body: Buffer): RequestBodyFacts | UnreadableBody {
  const cursor = new JsonCursor(body)
  const fields = readFields(cursor, TOP_LEVEL)
  if (fields.kind === 'unreadable') return fields
  if (cursor.skipSpace() !== END) return broken(cursor.at, 'there is more after the object')

  const model = fields.values.get('model')
  if (model === undefined)
    return { kind: 'unreadable', reason: 'missing_field', message: 'model is required', param: 'model' }
  const name = textOf(body, model)
  if (name === undefined || name === '') return wrongType('model', 'a non-empty string')
  const stream = booleanOf(body, fields.values.get('stream'))
  if (stream === undefined) return wrongType('stream', 'true or false')
  const options = fields.values.get('stream_options')
  const includeUsage = options === undefined ? false : readIncludeUsage(body, options)
  if (typeof includeUsage !== 'boolean') return includeUsage
  const user = fields.values.get('user')
  return {
    kind: 'read',
    model: name,
    modelRange: model,
    stream,
    includeUsage,
    maxTokens:
      numberOf(body, fields.values.get('max_completion_tokens')) ??
      numberOf(body, fields.values.get('max_tokens')),
    choices: numberOf(body, fields.values.get('n')) ?? 1,
    user: user === undefined ? undefined : textOf(body, user),
  }
}

/** The body with another model name in it; every other byte stays. */
export function withModel(body: Buffer, range: ByteRange, model: string): Buffer {
  return Buffer.concat([
    body.subarray(0, range.start),
    Buffer.from(JSON.stringify(model)),
    body.subarray(range.end),
  ])
}

const TOP_LEVEL: ReadonlySet<string> = new Set([
  'model',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'user',
])
const STREAM_OPTIONS: ReadonlySet<string> = new Set(['include_usage'])
const KEY_LENGTHS = new Set([...TOP_LEVEL, ...STREAM_OPTIONS].map(({ length }) => length))
const LONGEST_KEY = Math.max(...KEY_LENGTHS)
const BACKSLASH = 0x5c
const { END, QUOTE, COMMA, COLON, OPEN_BRACE, CLOSE_BRACE } = JSON_BYTE

/** The wanted fields of the object at the cursor, which is left behind its closing brace. */
function readFields(
  cursor: JsonCursor,
  wanted: ReadonlySet<string>,
): { readonly kind: 'fields'; readonly values: ReadonlyMap<string, ByteRange> } | UnreadableBody {
  const values = new Map<string, ByteRange>()
  if (cursor.skipSpace() !== OPEN_BRACE) return broken(cursor.at, 'the body is no JSON object')
  cursor.at++
  if (cursor.skipSpace() === CLOSE_BRACE) {
    cursor.at++
    return { kind: 'fields', values }
  }
  for (;;) {
    if (cursor.skipSpace() !== QUOTE) return broken(cursor.at, 'a field name is expected')
    const keyStart = cursor.at
    if (!cursor.skipString()) return broken(keyStart, 'this string does not end')
    const key = keyOf(cursor.bytes, keyStart, cursor.at)
    if (cursor.skipSpace() !== COLON) return broken(cursor.at, 'a colon is expected')
    cursor.at++
    cursor.skipSpace()
    const start = cursor.at
    if (!cursor.skipValue()) return broken(cursor.at, 'this value is not well formed')
    if (key !== undefined && wanted.has(key)) {
      if (values.has(key))
        return { kind: 'unreadable', reason: 'invalid_value', message: `${key} is given twice`, param: key }
      values.set(key, { start, end: cursor.at })
    }
    const next = cursor.skipSpace()
    cursor.at++
    if (next === CLOSE_BRACE) return { kind: 'fields', values }
    if (next !== COMMA) return broken(cursor.at - 1, 'a comma or a closing brace is expected')
  }
}

function readIncludeUsage(body: Buffer, range: ByteRange): boolean | UnreadableBody {
  const options = body.subarray(range.start, range.end)
  if (options[0] !== OPEN_BRACE) {
    return options[0] === SMALL_N ? false : wrongType('stream_options', 'an object')
  }
  const fields = readFields(new JsonCursor(options), STREAM_OPTIONS)
  if (fields.kind === 'unreadable') return fields
  const wanted = booleanOf(options, fields.values.get('include_usage'))
  return wanted ?? wrongType('stream_options.include_usage', 'true or false')
}

/** A field name; undefined for one whose length says that nobody wants it. */
function keyOf(bytes: Buffer, start: number, end: number): string | undefined {
  const length = end - start - 2
  // Every character may be written as a six-byte escape.
  if (length > LONGEST_KEY * 6) return undefined
  if (hasByte(bytes, BACKSLASH, start, end)) return parsed(bytes, start, end)
  return KEY_LENGTHS.has(length) ? latin1(bytes, start + 1, end - 1) : undefined
}

function hasByte(bytes: Buffer, byte: number, start: number, end: number): boolean {
  for (let at = start; at < end; at++) if (bytes[at] === byte) return true
  return false
}

function textOf(bytes: Buffer, range: ByteRange): string | undefined {
  if (bytes[range.start] !== QUOTE) return undefined
  const text = bytes.toString('utf8', range.start + 1, range.end - 1)
  return text.includes('\\') ? parsed(bytes, range.start, range.end) : text
}

function parsed(bytes: Buffer, start: number, end: number): string | undefined {
  try {
    return JSON.parse(bytes.toString('utf8', start, end)) as string
  } catch {
    return undefined
  }
}

/** Absent and null are false; undefined for anything that is no boolean. The value is known to be well formed. */
function booleanOf(bytes: Buffer, range: ByteRange | undefined): boolean | undefined {
  if (range === undefined) return false
  const first = bytes[range.start]
  if (first === SMALL_T) return true
  return first === SMALL_F || first === SMALL_N ? false : undefined
}

function numberOf(bytes: Buffer, range: ByteRange | undefined): number | undefined {
  if (range === undefined || range.end - range.start > LONGEST_NUMBER) return undefined
  const value = Number(latin1(bytes, range.start, range.end))
  return Number.isNaN(value) ? undefined : value
}

const SMALL_T = 0x74
const SMALL_F = 0x66
const SMALL_N = 0x6e
const LONGEST_NUMBER = 30

function latin1(bytes: Buffer, start: number, end: number): string {
  return bytes.toString('latin1', start, end)
}

function broken(at: number, what: string): UnreadableBody {
  return {
    kind: 'unreadable',
    reason: 'invalid_json',
    message: `the body is not valid JSON: at byte ${at}, ${what}`,
  }
}

function wrongType(param: string, expected: string): UnreadableBody {
  return { kind: 'unreadable', reason: 'invalid_value', message: `${param} must be ${expected}`, param }
}
