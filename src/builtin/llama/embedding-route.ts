import { errorText } from '../../base/errors.ts'
import { type Exchange, readJson, sendJson } from './exchange.ts'
import { Fields } from './fields.ts'
import { type Item, readItems } from './prompts.ts'
import { contextExceeded, invalidValue, overloaded, type Refusal, refusal } from './refusal.ts'
import type { EmbeddingSlot, Finished, Serving } from './serving.ts'
import { shuttingDown } from './text-route.ts'

/** `/v1/embeddings`: vectors of length 1, as numbers or as base64 of little-endian floats. */
export async function serveEmbeddings(serving: Serving, exchange: Exchange): Promise<Finished | Refusal> {
  const read = await readJson(exchange.request)
  if (read.kind === 'gone') return { kind: 'finished', outcome: 'aborted' }
  if (read.kind === 'refused') return read
  const { task, file, contextTokens } = serving
  if (task.kind !== 'embeddings') {
    return refusal(400, 'not_supported', 'this engine does not serve embeddings; start it with --embeddings')
  }
  const { model } = read.body
  if (typeof model !== 'string') return invalidValue('model', '"model" must be a string')
  if (!serving.options.servedNames.includes(model)) {
    return refusal(404, 'model_not_found', `The model \`${model}\` does not exist.`, { param: 'model' })
  }
  const format = readFormat(serving, new Fields(read.body))
  if (typeof format !== 'string') return format
  const items = readItems(read.body.input ?? undefined, 'input', file.facts.vocabSize ?? 0)
  if (!Array.isArray(items)) return items as Refusal
  const acquired = await task.pool.acquire([], exchange.signal)
  if (acquired.kind === 'aborted') return abortedBy(exchange)
  if (acquired.kind !== 'slot')
    return overloaded('the embedding queue is full or too slow; try again in a moment')
  serving.metrics.queueTime.observe(acquired.waitedMs / 1000)
  try {
    const result = await embedAll(acquired.slot, items as readonly Item[], contextTokens, exchange.signal)
    if (result.kind === 'aborted') return abortedBy(exchange)
    if (result.kind === 'refused') return result
    serving.metrics.promptTokens += result.promptTokens
    sendJson(exchange, 200, {
      object: 'list',
      data: result.vectors.map((vector, index) => ({
        object: 'embedding',
        index,
        embedding: format === 'base64' ? base64(vector) : vector,
      })),
      model,
      usage: { prompt_tokens: result.promptTokens, total_tokens: result.promptTokens },
    })
    return { kind: 'finished', outcome: 'embedded', model, promptTokens: result.promptTokens }
  } catch (error) {
    return refusal(500, 'engine_error', `the engine failed while embedding: ${errorText(error)}`)
  } finally {
    task.pool.release(acquired.slot)
  }
}

function readFormat(serving: Serving, fields: Fields): 'float' | 'base64' | Refusal {
  const format = fields.string('encoding_format') ?? 'float'
  const dimensions = fields.integer('dimensions', 1, 1_000_000)
  if (fields.problem !== undefined) return fields.problem
  const { embeddingLength } = serving.model
  if (dimensions !== undefined && dimensions !== embeddingLength) {
    return invalidValue(
      'dimensions',
      `this model's vectors have ${embeddingLength} dimensions and cannot be cut`,
    )
  }
  if (format === 'float' || format === 'base64') return format
  return invalidValue('encoding_format', '"encoding_format" must be "float" or "base64"')
}

type Embedded =
  | { readonly kind: 'ok'; readonly vectors: readonly (readonly number[])[]; readonly promptTokens: number }
  | { readonly kind: 'aborted' }
  | Refusal

async function embedAll(
  { embedder }: EmbeddingSlot,
  items: readonly Item[],
  contextTokens: number,
  signal: AbortSignal,
): Promise<Embedded> {
  let promptTokens = 0
  for (const item of items) {
    const tokens = embedder.inputTokens(item)
    // One cell of the context stays free.
    if (tokens >= contextTokens) return contextExceeded('input', contextTokens - 1, tokens, 0)
    promptTokens += tokens
  }
  const vectors: (readonly number[])[] = []
  for (const item of items) {
    if (signal.aborted) return { kind: 'aborted' }
    vectors.push(unit(await embedder.embed(item)))
  }
  return { kind: 'ok', vectors, promptTokens }
}

/** The vector scaled to length 1; all zeros stay as they are. */
function unit(vector: readonly number[]): readonly number[] {
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return length === 0 ? vector : vector.map((value) => value / length)
}

function base64(vector: readonly number[]): string {
  const bytes = Buffer.alloc(vector.length * 4)
  for (const [index, value] of vector.entries()) bytes.writeFloatLE(value, index * 4)
  return bytes.toString('base64')
}

function abortedBy(exchange: Exchange): Finished | Refusal {
  return exchange.signal.reason === 'shutting_down'
    ? shuttingDown()
    : { kind: 'finished', outcome: 'aborted' }
}
