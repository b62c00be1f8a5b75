import { z } from 'zod'
import { YardError } from '../../base/errors.ts'
import { nearest } from '../../domain/nearest.ts'
import { jsonErrorOffset, positionText } from './json-error.ts'
import { knownFieldsAt } from './known-fields.ts'

const MOST_PROBLEMS = 20

/** The JSON that a body holds, or `invalid_json` with the place where it stops being JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, which may hold a secret; ours only counts.
    const offset = jsonErrorOffset(text)
    const where = offset === undefined ? '' : ` at ${positionText(text, offset)}`
    throw new YardError('invalid_json', text === '' ? 'the body is empty' : `the body is not JSON${where}`, {
      hint: 'send a JSON object, with content-type: application/json',
      ...(offset === undefined ? {} : { details: { offset } }),
    })
  }
}

/**
 * What `schema` makes of `input`, or `unknown_field` or `invalid_request` naming the field. `part` is `path`, `query`
 * or `body`. Objects refuse fields that they do not know, also at the top of a query.
 */
export function parseInput<Value>(schema: z.ZodType<Value>, input: unknown, part: string): Value {
  const strict = schema instanceof z.ZodObject && part === 'query' ? schema.strict() : schema
  const result = strict.safeParse(input)
  if (result.success) return result.data as Value
  const { issues } = result.error
  const unknown = issues.find((issue) => issue.code === 'unrecognized_keys')
  if (unknown?.code === 'unrecognized_keys') throw unknownField(strict, unknown, part)
  const problems = issues.slice(0, MOST_PROBLEMS).map((issue) => ({
    field: fieldText(issue.path, part),
    message: issue.message,
  }))
  const [first] = problems
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
  throw new YardError(
    'invalid_request',
    `${first?.field ?? part}: ${first?.message ?? 'is not valid'}${more}`,
    {
      details: { problems },
    },
  )
}

function unknownField(
  schema: z.ZodType,
  issue: { readonly keys: readonly string[]; readonly path: readonly PropertyKey[] },
  part: string,
): YardError {
  const field = issue.keys[0] ?? ''
  const known = knownFieldsAt(schema, issue.path)
  const meant = nearest(field, known)
  const shown = fieldText([...issue.path, clipped(field)], part)
  return new YardError('unknown_field', `there is no field ${shown}`, {
    ...(meant === undefined ? {} : { hint: `did you mean ${fieldText([...issue.path, meant], part)}?` }),
    details: { field: shown, known },
  })
}

function fieldText(path: readonly PropertyKey[], part: string): string {
  return path.length === 0 ? part : path.map((step) => String(step)).join('.')
}

function clipped(text: string): string {
  return text.length <= 64 ? text : `${text.slice(0, 64)}…`
}
