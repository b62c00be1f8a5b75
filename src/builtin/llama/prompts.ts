import type { JsonObject } from './fields.ts'
import { invalidValue, type Refusal } from './refusal.ts'
import type { Serving } from './serving.ts'

/** Prompts or inputs of one request, at most: OpenAI's limit for embeddings. */
const MOST_ITEMS = 2048

/** A text or tokens, as a client may send either. */
export type Item = string | readonly number[]

/**
 * The four forms of `prompt` and `input`: a text, a list of texts, a list of tokens, a list of such lists. Tokens
 * that the model does not have are refused here: llama.cpp would fail the whole batch.
 */
export function readItems(value: unknown, param: string, vocabSize: number): readonly Item[] | Refusal {
  const forms = `"${param}" must be a string, a list of strings, a list of tokens or a list of such lists`
  const isToken = (token: unknown): token is number =>
    Number.isInteger(token) && (token as number) >= 0 && (token as number) < vocabSize
  const items: readonly unknown[] =
    Array.isArray(value) && typeof value[0] !== 'number' ? value : value === undefined ? [] : [value]
  if (items.length === 0) return invalidValue(param, forms)
  if (items.length > MOST_ITEMS) {
    return invalidValue(param, `"${param}" has ${items.length} items, more than ${MOST_ITEMS}`)
  }
  for (const item of items) {
    if (typeof item === 'string') {
      if (item === '') return invalidValue(param, `"${param}" has an empty string`)
    } else if (!Array.isArray(item) || item.length === 0) {
      return invalidValue(param, forms)
    } else if (!item.every(isToken)) {
      return invalidValue(param, `"${param}" has tokens that are not whole numbers below ${vocabSize}`)
    }
  }
  return items as readonly Item[]
}

/** The prompts of a plain completion as tokens. */
export function readPrompts(serving: Serving, body: JsonObject): readonly (readonly number[])[] | Refusal {
  const items = readItems(body.prompt ?? undefined, 'prompt', serving.file.facts.vocabSize ?? 0)
  if (!Array.isArray(items)) return items as Refusal
  return (items as readonly Item[]).map((item) => (typeof item === 'string' ? tokenize(serving, item) : item))
}

/** Tokens of a prompt's text, control tokens by their names, with the beginning token that the model wants. */
export function tokenize({ model }: Pick<Serving, 'model'>, text: string): readonly number[] {
  const tokens = model.tokenize(text, true)
  const { beginToken } = model
  // Chat templates often write the beginning token themselves.
  return beginToken === undefined || tokens[0] === beginToken ? tokens : [beginToken, ...tokens]
}
