import type { ModelFacts } from '../../domain/facts.ts'

/**
 * Bytes of key/value cache for `sequences` sequences of `contextTokens` each, in half floats as llama.cpp keeps
 * them by default. Windows are ignored, so this is an upper bound.
 */
export function cacheBytes(facts: ModelFacts, contextTokens: number, sequences: number): number {
  const heads = Array.isArray(facts.kvHeads)
    ? facts.kvHeads.reduce((sum: number, count) => sum + count, 0)
    : (facts.kvHeads as number) * facts.layers
  const perToken =
    facts.latentKvLength === undefined
      ? heads * (facts.keyLength + facts.valueLength)
      : facts.layers * facts.latentKvLength
  return perToken * 2 * contextTokens * sequences
}

/** Bytes as people read them. */
export function inMiB(bytes: number): string {
  return `${Math.ceil(bytes / (1024 * 1024))} MiB`
}
