import type { ModelFacts } from '../domain/facts.ts'
import type { Footprint } from '../domain/footprint.ts'
import type { ModelTemplate } from '../domain/model.ts'

/** What one replica needs on each of its devices, part by part, and beside them. */
export interface Need {
  readonly parts: Footprint['parts']
  readonly hostMemoryBytes: number
}

/** Facts of adapters by the text of their source; one that is not here is sized by an upper bound. */
export type AdapterFacts = Readonly<Record<string, ModelFacts | undefined>>

const ASSUMED_LORA_RANK = 64
/** Widths of a layer's projections in units of the residual stream: q, k, v, o and three of a 4 × feed-forward. */
const PROJECTION_WIDTHS = 4 * 2 + 3 * (1 + 4)

/**
 * One part for each adapter. A measured file counts as it is; else (and where the engine allocates slots of a
 * fixed rank) Σ rank · (in + out) · 2 bytes over all projections. Source: engines.md §6.3.
 */
export function adapterParts(
  template: ModelTemplate,
  base: ModelFacts,
  adapterFacts: AdapterFacts,
): { name: string; bytes: number }[] {
  const slotRank = numberArg(template, 'max-lora-rank')
  return template.adapters.map(({ name, source }) => {
    const measured = Object.hasOwn(adapterFacts, source) ? adapterFacts[source]?.weightBytes : undefined
    const rank = slotRank ?? ASSUMED_LORA_RANK
    const bound = base.layers * base.embeddingLength * PROJECTION_WIDTHS * rank * 2
    if (slotRank !== undefined) return { name: `adapter ${name}`, bytes: Math.max(bound, measured ?? 0) }
    return measured === undefined
      ? { name: `adapter ${name} (not measured, rank ${rank} assumed)`, bytes: bound }
      : { name: `adapter ${name}`, bytes: measured }
  })
}

/** A positive number given as an engine argument, also as text; undefined when it is none. */
export function numberArg(template: ModelTemplate, flag: string): number | undefined {
  const value = Object.hasOwn(template.engineArgs, flag) ? Number(template.engineArgs[flag]) : Number.NaN
  return Number.isFinite(value) && value > 0 ? value : undefined
}

/** An engine argument as text; undefined when it is not given. */
export function textArg(template: ModelTemplate, flag: string): string | undefined {
  return Object.hasOwn(template.engineArgs, flag) ? String(template.engineArgs[flag]) : undefined
}
