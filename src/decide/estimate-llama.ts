import type { ModelFacts } from '../domain/facts.ts'
import type { ModelTemplate } from '../domain/model.ts'
import type { DeviceKind } from '../domain/node.ts'
import { MIB } from './bytes-text.ts'
import { kvCacheBytes } from './kv-cache.ts'
import { type AdapterFacts, adapterParts, type Need, numberArg, textArg } from './need.ts'
import { servingLimits } from './serving-limits.ts'

/** Upper end of a CUDA context (engines.md §6.3), and of a loaded process without one (measured, §8). */
const ACCELERATOR_CONTEXT_BYTES = 600 * MIB
const PROCESS_BYTES = 160 * MIB
const DEFAULT_UBATCH_TOKENS = 512
const ASSUMED_VOCAB = 262_144
/** llama.cpp rounds a sequence's cells up to this. */
const CELL_STEP = 256

const BYTES_PER_ELEMENT: Readonly<Record<string, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  q8_0: 34 / 32,
  q5_1: 24 / 32,
  q5_0: 22 / 32,
  q4_1: 20 / 32,
  q4_0: 18 / 32,
  iq4_nl: 18 / 32,
}

/**
 * llama.cpp, in our process or its server: it allocates everything at start. Weights and cache are split by
 * layer over several devices, the compute buffer and the context stand on each. Flash attention is on unless
 * turned off. Source: engines.md §6.
 */
export function llamaNeed(
  template: ModelTemplate,
  facts: ModelFacts,
  deviceKinds: readonly DeviceKind[],
  devices: number,
  adapterFacts: AdapterFacts,
): Need {
  const { contextTokens, maxConcurrency } = servingLimits(template, facts)
  const sequenceTokens = roundUp(contextTokens, CELL_STEP)
  const tokens = sequenceTokens * maxConcurrency
  // A pooled input must fit into one physical batch.
  const pools = template.embeddings === true || (facts.pooling !== undefined && facts.pooling !== 'none')
  const ubatch = numberArg(template, 'ubatch-size') ?? (pools ? sequenceTokens : DEFAULT_UBATCH_TOKENS)
  const share = layerShare(facts.layers, devices)
  const onAccelerator = deviceKinds.some((kind) => kind !== 'cpu')
  const kvBytes = kvCacheBytes(facts, {
    tokens,
    windowTokens: swaTokens(template, facts, maxConcurrency, ubatch, tokens),
    ranks: 1,
    bytesPerKeyElement: elementBytes(template, 'cache-type-k'),
    bytesPerValueElement: elementBytes(template, 'cache-type-v'),
  })
  return {
    parts: [
      { name: 'weights', bytes: Math.ceil(facts.weightBytes * share) },
      {
        name: `KV cache (${contextTokens} tokens × ${maxConcurrency} sequences)`,
        bytes: Math.ceil(kvBytes * share),
      },
      computePart(template, facts, ubatch, tokens),
      { name: 'process', bytes: onAccelerator ? ACCELERATOR_CONTEXT_BYTES : PROCESS_BYTES },
      ...adapterParts(template, facts, adapterFacts),
    ],
    hostMemoryBytes: (onAccelerator ? PROCESS_BYTES : 0) + (numberArg(template, 'cache-ram') ?? 0) * MIB,
  }
}

/** The output layer counts as one more; whole layers only, so the fullest device has this share. */
function layerShare(layers: number, devices: number): number {
  const units = layers + 1
  return devices > 1 ? Math.ceil(units / devices) / units : 1
}

/** Source: gguf-parser-go, window × sequences + one batch, padded. */
function swaTokens(
  template: ModelTemplate,
  facts: ModelFacts,
  sequences: number,
  ubatch: number,
  tokens: number,
): number {
  if (facts.slidingWindowTokens === undefined || textArg(template, 'swa-full') === 'true') return tokens
  return roundUp(facts.slidingWindowTokens * sequences + ubatch, CELL_STEP)
}

/** Logits and the residual stream of one batch; without flash attention also the scores against every cell. */
function computePart(
  template: ModelTemplate,
  facts: ModelFacts,
  ubatch: number,
  tokens: number,
): { name: string; bytes: number } {
  // Encoders end without an output head, so no logits are ever made.
  const headless = facts.architecture.includes('bert')
  const vocab = headless ? 0 : (facts.vocabSize ?? ASSUMED_VOCAB)
  const flash = !['off', 'false', '0'].includes(textArg(template, 'flash-attn') ?? 'auto')
  return {
    name:
      facts.vocabSize === undefined && !headless
        ? `compute buffer (vocabulary not known, ${ASSUMED_VOCAB} assumed)`
        : 'compute buffer',
    bytes: 4 * ubatch * (vocab + facts.embeddingLength + (flash ? 0 : tokens * facts.heads)),
  }
}

function elementBytes(template: ModelTemplate, flag: string): number {
  const type = textArg(template, flag) ?? 'f16'
  return Object.hasOwn(BYTES_PER_ELEMENT, type) ? (BYTES_PER_ELEMENT[type] ?? 4) : 4
}

function roundUp(value: number, step: number): number {
  return Math.ceil(value / step) * step
}
