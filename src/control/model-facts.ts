import { type AdapterFacts, type Estimate, estimate } from '../decide/index.ts'
import { type ServingLimits, servingLimits } from '../decide/serving-limits.ts'
import { factsOf, type InspectedSource } from '../decide/source-standing.ts'
import type { EngineName } from '../domain/engine-name.ts'
import type { ModelTemplate } from '../domain/model.ts'
import { parseSource } from '../domain/source.ts'
import { engineOf } from '../engines/registry.ts'
import type { ClusterCache } from './cluster-cache.ts'
import { sourceId } from './naming.ts'
import { tables } from './records.ts'

/** What is known about what a template needs. */
export interface ModelKnowledge {
  /** The sources that nodes look at: the model's, then its adapters'. */
  readonly sources: readonly InspectedSource[]
  readonly estimate: Estimate
  /** What a replica is sized for and told to serve. */
  readonly limits: Partial<ServingLimits>
}

/** Engines whose need is computed for so much context and concurrency, which they must then be told. */
const SIZED: readonly EngineName[] = ['llama', 'llama-server', 'vllm', 'sglang']

/** Puts together what nodes found at a template's sources and what follows from it. */
export function modelKnowledge(cache: ClusterCache, template: ModelTemplate): ModelKnowledge {
  const sources = inspectedSources(template).map((source) => inspected(cache, source))
  const own = isInspected(template.source) ? sources[0] : undefined
  const facts = own && factsOf(own)
  const adapterFacts: AdapterFacts = Object.fromEntries(
    template.adapters.map(({ source }) => [source, factsOf(inspected(cache, source))]),
  )
  const { deviceKinds } = engineOf(template.engine)
  const { contextTokens, maxConcurrency } = template
  return {
    sources,
    estimate: estimate(template, facts, deviceKinds, adapterFacts),
    limits: SIZED.includes(template.engine)
      ? servingLimits(template, facts)
      : {
          ...(contextTokens === undefined ? {} : { contextTokens }),
          ...(maxConcurrency === undefined ? {} : { maxConcurrency }),
        },
  }
}

/** The sources of a template that nodes look at, each once. Others are fetched or run by the engine itself. */
export function inspectedSources(template: ModelTemplate): string[] {
  const all = [template.source, ...template.adapters.map(({ source }) => source)]
  return [...new Set(all)].filter(isInspected)
}

function isInspected(source: string): boolean {
  const { kind } = parseSource(source)
  return kind === 'file' || kind === 'builtin'
}

function inspected(cache: ClusterCache, source: string): InspectedSource {
  return { source, reports: cache.get(tables.sources, sourceId(source))?.value.nodes ?? {} }
}
