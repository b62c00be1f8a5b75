import type { ModelFacts } from '../domain/facts.ts'
import type { ModelTemplate } from '../domain/model.ts'
import { GIB, MIB } from './bytes-text.ts'
import { kvCacheBytes } from './kv-cache.ts'
import { type AdapterFacts, adapterParts, type Need, numberArg, textArg } from './need.ts'
import { servingLimits } from './serving-limits.ts'

/** A paged cache serves more short sequences than this from the same room; more full ones wait. */
const FULL_SEQUENCES = 4
const WEIGHT_SLACK = 1.02
const DEVICE_CONTEXT_BYTES = 512 * MIB
const ACTIVATION_BYTES = 2 * GIB
const GRAPH_BYTES = 1 * GIB
const COLLECTIVE_BYTES = 1 * GIB
const SGLANG_PREFILL_TOKENS = 4096
const BATCHED_TOKENS = 8192

/**
 * vLLM and SGLang, sharded evenly over the devices (tensor parallel), so each device must hold its own shard.
 * Source: engines.md §6.4 for vLLM, §2 for SGLang's reserve; main memory as GPUStack asks for it.
 */
export function pagedNeed(
  template: ModelTemplate,
  facts: ModelFacts,
  devices: number,
  adapterFacts: AdapterFacts,
): Need {
  const ranks = Math.max(1, devices)
  const { contextTokens, maxConcurrency } = servingLimits(template, facts)
  const sequences = Math.min(maxConcurrency, FULL_SEQUENCES)
  const elementBytes = textArg(template, 'kv-cache-dtype')?.startsWith('fp8') ? 1 : 2
  const window = Math.min((facts.slidingWindowTokens ?? contextTokens) + BATCHED_TOKENS, contextTokens)
  const parts = [
    { name: 'weights', bytes: Math.ceil((facts.weightBytes / ranks) * WEIGHT_SLACK) },
    {
      name: `KV cache (${contextTokens} tokens × ${sequences} full sequences)`,
      bytes: kvCacheBytes(facts, {
        tokens: contextTokens * sequences,
        windowTokens: window * sequences,
        ranks,
        bytesPerKeyElement: elementBytes,
        bytesPerValueElement: elementBytes,
      }),
    },
    ...workspaceParts(template),
    { name: 'device context', bytes: DEVICE_CONTEXT_BYTES },
    { name: 'collectives between devices', bytes: ranks > 1 ? COLLECTIVE_BYTES : 0 },
    ...adapterParts(template, facts, adapterFacts),
  ]
  const allBytes = parts.reduce((sum, part) => sum + part.bytes, 0) * ranks
  return { parts, hostMemoryBytes: Math.max(2 * GIB, Math.ceil(allBytes / 10)) }
}

/** The flag that makes the engine take a share of its device whatever it needs, when it is given. */
export function fractionFlag(template: ModelTemplate): string | undefined {
  return ['gpu-memory-utilization', 'mem-fraction-static'].find(
    (flag) => textArg(template, flag) !== undefined,
  )
}

function workspaceParts(template: ModelTemplate): { name: string; bytes: number }[] {
  if (template.engine === 'sglang') {
    const prefillTokens = Math.max(numberArg(template, 'chunked-prefill-size') ?? SGLANG_PREFILL_TOKENS, 2048)
    return [{ name: 'activations and graphs', bytes: Math.ceil((512 + 1.5 * prefillTokens) * MIB) }]
  }
  const eager = textArg(template, 'enforce-eager') === 'true'
  return [
    { name: 'activations', bytes: ACTIVATION_BYTES },
    { name: 'CUDA graphs', bytes: eager ? 0 : GRAPH_BYTES },
  ]
}
