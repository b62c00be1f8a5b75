import { type ApiError, badRequest } from './exchange.ts'
import { isInteger, isListOf, isRecord, isString, type JsonFields } from './json-fields.ts'
import { pseudoScore, pseudoVector } from './pseudo-vector.ts'
import { tokenize } from './tokens.ts'

/** A pooling request: what the engine must compute, and the answer to give when it has. */
export interface PoolingJob {
  readonly model: string | undefined
  /** One sequence each. */
  readonly inputs: readonly (readonly number[])[]
  readonly answer: (head: { id: string; created: number; model: string }) => unknown
}

export function readEmbedding(fields: JsonFields): PoolingJob | ApiError {
  const format = fields.string('encoding_format') ?? 'float'
  const dimensions = fields.integer('dimensions', 1) ?? DIMENSIONS
  const inputs = embeddingInputs(fields.raw('input'))
  if (inputs === undefined) fields.fail('input', 'input must be a string, a list of strings, or token ids.')
  if (format !== 'float' && format !== 'base64')
    fields.fail('encoding_format', 'encoding_format must be float or base64.')
  if (dimensions > DIMENSIONS) fields.fail('dimensions', `dimensions must be at most ${DIMENSIONS}.`)
  const problem = fields.problem()
  if (problem || inputs === undefined) return problem ?? badRequest('no input')
  const total = countTokens(inputs)
  return {
    model: fields.string('model'),
    inputs,
    answer: ({ id, created, model }) => ({
      id: `embd-${id}`,
      object: 'list',
      created,
      model,
      data: inputs.map((tokens, index) => {
        const vector = pseudoVector(model, tokens, dimensions)
        return { index, object: 'embedding', embedding: format === 'float' ? vector : base64(vector) }
      }),
      usage: { prompt_tokens: total, total_tokens: total, completion_tokens: 0, prompt_tokens_details: null },
    }),
  }
}

export function readRerank(fields: JsonFields): PoolingJob | ApiError {
  const query = fields.string('query')
  const documents = texts(fields.raw('documents'))
  const topN = fields.integer('top_n', 0) ?? 0
  if (query === undefined) fields.fail('query', 'query is required.')
  if (documents === undefined) fields.fail('documents', 'documents must be a list of strings.')
  const problem = fields.problem()
  if (problem || query === undefined || documents === undefined) return problem ?? badRequest('no query')
  const inputs = documents.map((document) => tokenize(`${query}\n${document}`))
  const total = countTokens(inputs)
  return {
    model: fields.string('model'),
    inputs,
    answer: ({ id, model }) => ({
      id: `rerank-${id}`,
      model,
      usage: { prompt_tokens: total, total_tokens: total },
      results: documents
        .map((text, index) => ({
          index,
          document: { text, multi_modal: null },
          relevance_score: pseudoScore(model, query, text),
        }))
        .sort((a, b) => b.relevance_score - a.relevance_score)
        .slice(0, topN === 0 ? documents.length : topN),
    }),
  }
}

export function readScore(fields: JsonFields): PoolingJob | ApiError {
  const [first, second] = SCORE_FIELDS.find(([name]) => fields.raw(name) !== undefined) ?? [
    'text_1',
    'text_2',
  ]
  const left = texts(fields.raw(first))
  const right = texts(fields.raw(second))
  if (left === undefined) fields.fail(first, `${first} must be a string or a list of strings.`)
  else if (right === undefined) fields.fail(second, `${second} must be a string or a list of strings.`)
  else if (left.length !== 1 && left.length !== right.length)
    fields.fail(first, 'Input lengths must be either 1:1, 1:N or N:N')
  const problem = fields.problem()
  if (problem || left === undefined || right === undefined) return problem ?? badRequest('nothing to score')
  const pairs = right.map((text, at) => [left[left.length === 1 ? 0 : at] ?? '', text] as const)
  const inputs = pairs.map(([one, other]) => tokenize(`${one}\n${other}`))
  const total = countTokens(inputs)
  return {
    model: fields.string('model'),
    inputs,
    answer: ({ id, created, model }) => ({
      id: `score-${id}`,
      object: 'list',
      created,
      model,
      data: pairs.map(([one, other], index) => ({
        index,
        object: 'score',
        score: pseudoScore(model, one, other),
      })),
      usage: { prompt_tokens: total, total_tokens: total, completion_tokens: 0, prompt_tokens_details: null },
    }),
  }
}

const DIMENSIONS = 384

/** The pairs of names vLLM takes, newest last. */
const SCORE_FIELDS = [
  ['text_1', 'text_2'],
  ['data_1', 'data_2'],
  ['queries', 'documents'],
  ['queries', 'items'],
] as const

function embeddingInputs(raw: unknown): (readonly number[])[] | undefined {
  const inputs = isString(raw)
    ? [tokenize(raw)]
    : isListOf(isString)(raw)
      ? raw.map(tokenize)
      : isListOf(isInteger)(raw)
        ? [raw]
        : isListOf(isListOf(isInteger))(raw)
          ? raw
          : undefined
  // Something is computed even for an empty text: the tokens a real tokenizer puts around it.
  return inputs?.length ? inputs.map((tokens) => (tokens.length > 0 ? tokens : tokenize('\n'))) : undefined
}

/** Strings, or objects with a `text`. */
function texts(raw: unknown): string[] | undefined {
  const list = Array.isArray(raw) ? raw : [raw]
  const read = list.map((item) => (isRecord(item) ? item.text : item))
  return read.length > 0 && read.every(isString) ? read : undefined
}

function base64(vector: readonly number[]): string {
  return Buffer.from(Float32Array.from(vector).buffer).toString('base64')
}

function countTokens(inputs: readonly (readonly number[])[]): number {
  return inputs.reduce((sum, tokens) => sum + tokens.length, 0)
}
