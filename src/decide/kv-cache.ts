import type { ModelFacts } from '../domain/facts.ts'

export interface KvShape {
  /** Tokens kept for layers that attend to the whole context, all sequences together. */
  readonly tokens: number
  /** Tokens kept for layers that attend to a window, all sequences together. */
  readonly windowTokens: number
  /** Devices that share the heads (tensor parallel); 1 when they do not. */
  readonly ranks: number
  readonly bytesPerKeyElement: number
  readonly bytesPerValueElement: number
}

/**
 * Bytes of the KV cache on one rank. K and V per layer with that layer's heads; a head is not split, so more ranks
 * than heads copy them; multi-head latent attention keeps one latent a token and layer, without V, on each rank.
 * Which layers slide is not known, only how many: the widest are taken to keep everything. Source: vLLM
 * v1/kv_cache_interface.py, llama.cpp src/llama-kv-cache.cpp (has_v = !is_mla).
 */
export function kvCacheBytes(facts: ModelFacts, shape: KvShape): number {
  const slidingLayers = facts.slidingWindowTokens === undefined ? 0 : (facts.slidingLayers ?? 0)
  const layerBytes = bytesPerTokenByLayer(facts, shape).sort((a, b) => b - a)
  const fullLayers = Math.max(0, layerBytes.length - slidingLayers)
  return Math.ceil(
    layerBytes.reduce(
      (sum, bytes, layer) =>
        sum + bytes * (layer < fullLayers ? shape.tokens : Math.min(shape.windowTokens, shape.tokens)),
      0,
    ),
  )
}

function bytesPerTokenByLayer(facts: ModelFacts, shape: KvShape): number[] {
  if (facts.latentKvLength !== undefined) {
    return new Array<number>(facts.layers).fill(facts.latentKvLength * shape.bytesPerKeyElement)
  }
  const { kvHeads } = facts
  const headsByLayer = typeof kvHeads === 'number' ? new Array<number>(facts.layers).fill(kvHeads) : kvHeads
  const headBytes =
    facts.keyLength * shape.bytesPerKeyElement + facts.valueLength * shape.bytesPerValueElement
  return headsByLayer.map((heads) => Math.ceil(heads / shape.ranks) * headBytes)
}
