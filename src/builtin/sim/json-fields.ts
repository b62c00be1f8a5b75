import { type ApiError, badRequest } from './exchange.ts'

/**
 * Reads fields of a JSON request body, remembering the first thing wrong. Absent and null are undefined;
 * fields nobody asks for are ignored, as vLLM ignores them.
 */
export interface JsonFields {
  raw(name: string): unknown
  string(name: string): string | undefined
  boolean(name: string): boolean | undefined
  integer(name: string, least: number): number | undefined
  /** A string or a list of strings. */
  strings(name: string): readonly string[] | undefined
  integers(name: string): readonly number[] | undefined
  object(name: string): JsonFields | undefined
  /** Reports a problem of the caller's own. */
  fail(name: string, message: string): void
  problem(): ApiError | undefined
}

/** Fields of a body, or the error for one that is no JSON object. */
export function readFields(body: string): JsonFields | ApiError {
  let value: unknown
  try {
    value = JSON.parse(body)
  } catch (error) {
    return validation(
      'body',
      'json_invalid',
      `JSON decode error: ${error instanceof Error ? error.message : ''}`,
    )
  }
  return isRecord(value) ? fieldsOf(value) : validation('body', 'model_type', 'Input should be an object')
}

export function isApiError(value: JsonFields | ApiError): value is ApiError {
  return 'status' in value
}

function fieldsOf(record: Readonly<Record<string, unknown>>, shared?: { problem?: ApiError }): JsonFields {
  const state = shared ?? {}
  const read = <Value>(name: string, is: (value: unknown) => value is Value, wanted: string) => {
    const value = record[name] ?? undefined
    if (value === undefined || is(value)) return value
    state.problem ??= validation(name, 'type_error', `Input should be ${wanted}`)
    return undefined
  }
  return {
    raw: (name) => record[name] ?? undefined,
    string: (name) => read(name, isString, 'a valid string'),
    boolean: (name) => read(name, (value) => typeof value === 'boolean', 'a valid boolean'),
    integer: (name, least) =>
      read(
        name,
        (value): value is number => Number.isInteger(value) && Number(value) >= least,
        `an integer greater than or equal to ${least}`,
      ),
    strings(name) {
      const value = record[name]
      if (typeof value === 'string') return [value]
      return read(name, isListOf(isString), 'a string or a list of strings')
    },
    integers: (name) => read(name, isListOf(isInteger), 'a list of integers'),
    object(name) {
      const value = read(name, isRecord, 'an object')
      return value && fieldsOf(value, state)
    },
    fail(name, message) {
      state.problem ??= badRequest(message, name)
    },
    problem: () => state.problem,
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isString(value: unknown): value is string {
  return typeof value === 'string'
}

export function isInteger(value: unknown): value is number {
  return Number.isInteger(value)
}

export function isListOf<Item>(is: (value: unknown) => value is Item) {
  return (value: unknown): value is Item[] => Array.isArray(value) && value.every(is)
}

/** FastAPI's validation errors as vLLM words them: type "Bad Request". */
function validation(name: string, type: string, message: string): ApiError {
  return {
    status: 400,
    type: 'Bad Request',
    message: `1 validation error:\n  {'type': '${type}', 'loc': ('body', '${name}'), 'msg': '${message}'}`,
  }
}
