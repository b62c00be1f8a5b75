import type { RerankResult } from './engine.ts'
import { isObject, parseJson } from './json.ts'

/** More answers than a rerank request may have documents are not an answer. */
const MAX_RESULTS = 100_000

type Ranked = RerankResult['results'][number]

/**
 * Reads a rerank answer in any of the shapes in use, best first:
 * vLLM, Jina, Cohere `{results: [{index, document?: {text} | string, relevance_score}], usage?: {total_tokens}}`;
 * llama-server the same without documents; SGLang a bare array of `{score, document, index}`; TEI (and llama-server
 * asked with `texts`) a bare array of `{index, score, text?}`. Undefined when the body is none of these.
 */
export function readRerankBody(body: string): RerankResult | undefined {
  const parsed = parseJson(body)
  const rows = Array.isArray(parsed) ? parsed : isObject(parsed) ? parsed.results : undefined
  if (!Array.isArray(rows) || rows.length > MAX_RESULTS) return undefined
  const results: Ranked[] = []
  for (const row of rows) {
    const result = readRow(row)
    if (result === undefined) return undefined
    results.push(result)
  }
  results.sort((a, b) => b.relevanceScore - a.relevanceScore || a.index - b.index)
  const totalTokens = isObject(parsed) ? readTotalTokens(parsed) : undefined
  return totalTokens === undefined ? { results } : { results, totalTokens }
}

function readRow(row: unknown): Ranked | undefined {
  if (!isObject(row)) return undefined
  const score = row.relevance_score ?? row.score
  if (!isCount(row.index) || typeof score !== 'number' || !Number.isFinite(score)) return undefined
  const document = readDocument(row.document) ?? readDocument(row.text)
  const result = { index: row.index, relevanceScore: score }
  return document === undefined ? result : { ...result, document }
}

function readDocument(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return isObject(value) && typeof value.text === 'string' ? value.text : undefined
}

/** `usage.total_tokens` (vLLM, llama-server, Jina) or Cohere's `meta.tokens.input_tokens`. */
function readTotalTokens(answer: Record<string, unknown>): number | undefined {
  const { usage, meta } = answer
  if (isObject(usage) && isCount(usage.total_tokens)) return usage.total_tokens
  const tokens = isObject(meta) ? meta.tokens : undefined
  return isObject(tokens) && isCount(tokens.input_tokens) ? tokens.input_tokens : undefined
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
