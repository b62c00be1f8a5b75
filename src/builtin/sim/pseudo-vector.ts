import { seededRandom } from '../../base/random.ts'
import { hashSeed } from './block-hash.ts'

/**
 * A unit vector that depends only on the text's tokens and the model: the normalised sum of one pseudo-random
 * direction per token. Texts that share words are near each other, so that search over it behaves.
 */
export function pseudoVector(model: string, tokens: readonly number[], dimensions: number): number[] {
  const sum = new Float64Array(dimensions)
  for (const token of tokens.length > 0 ? tokens : [0]) {
    const random = seededRandom(hashSeed(model, String(token)))
    for (let at = 0; at < dimensions; at++) sum[at] = (sum[at] ?? 0) + random() * 2 - 1
  }
  let square = 0
  for (const value of sum) square += value * value
  const length = Math.sqrt(square) || 1
  return Array.from(sum, (value) => Math.fround(value / length))
}

/** How well a document answers a query, 0 to 1: a logistic of the share of the query's words it contains. */
export function pseudoScore(model: string, query: string, document: string): number {
  const wanted = wordsOf(query)
  const has = wordsOf(document)
  let shared = 0
  for (const word of wanted) if (has.has(word)) shared++
  const share = wanted.size === 0 ? 0 : shared / wanted.size
  // A little noise by content, so that documents without any overlap do not all tie.
  const noise = seededRandom(hashSeed(model, query, document))() - 0.5
  return 1 / (1 + Math.exp(-(8 * share - 4 + noise)))
}

function wordsOf(text: string): Set<string> {
  return new Set(text.toLowerCase().match(/[\p{L}\p{N}]+/gu))
}
