import type { ModelFacts } from '../domain/facts.ts'
import type { ModelTemplate } from '../domain/model.ts'

export const DEFAULT_CONTEXT_TOKENS = 4096
export const DEFAULT_MAX_CONCURRENCY = 4

export interface ServingLimits {
  /** Tokens of each sequence. */
  readonly contextTokens: number
  /** Sequences at the same time. */
  readonly maxConcurrency: number
}

/**
 * What a replica is sized for. The same numbers must reach the engine (Assignment, Launch): an engine left to its
 * own default takes the model's longest context, which no estimate here counts.
 */
export function servingLimits(
  template: Pick<ModelTemplate, 'contextTokens' | 'maxConcurrency'>,
  facts: Pick<ModelFacts, 'contextTokens'> | undefined,
): ServingLimits {
  const longest = facts?.contextTokens || DEFAULT_CONTEXT_TOKENS
  return {
    contextTokens: template.contextTokens ?? Math.min(longest, DEFAULT_CONTEXT_TOKENS),
    maxConcurrency: template.maxConcurrency ?? DEFAULT_MAX_CONCURRENCY,
  }
}
