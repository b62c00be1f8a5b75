import type { ModelFacts } from '../../domain/facts.ts'

/**
 * What `config.json` of Hugging Face's layout says about a model; undefined when it lacks what an estimate needs. Text
 * models keep their shape at the top, models with pictures or sound under `text_config`. Field names: transformers'
 * configuration classes.
 */
export function hubFacts(
  config: unknown,
  weights: { readonly weightBytes: number; readonly fileBytes: number; readonly hasChatTemplate: boolean },
): ModelFacts | undefined {
  const top = fields(config)
  const shape = top.num_hidden_layers === undefined ? fields(top.text_config) : top
  const layers = count(shape.num_hidden_layers)
  const embeddingLength = count(shape.hidden_size)
  const heads = count(shape.num_attention_heads)
  const contextTokens = count(shape.max_position_embeddings)
  if (!layers || !embeddingLength || !heads || contextTokens === undefined) return undefined
  const keyLength = count(shape.head_dim) ?? Math.floor(embeddingLength / heads)
  const latent = count(shape.kv_lora_rank)
  const window = shape.use_sliding_window === false ? undefined : count(shape.sliding_window)
  const vocabSize = count(shape.vocab_size)
  const quantization = text(fields(top.quantization_config).quant_method)
  const kvHeads = count(shape.num_key_value_heads) ?? heads
  return {
    format: 'safetensors',
    architecture:
      text(Array.isArray(top.architectures) ? top.architectures[0] : undefined) ??
      text(top.model_type) ??
      'unknown',
    ...weights,
    layers,
    embeddingLength,
    ...(vocabSize === undefined ? {} : { vocabSize }),
    heads,
    kvHeads: attendingLayers(shape, layers, kvHeads),
    keyLength,
    valueLength: count(shape.v_head_dim) ?? keyLength,
    // DeepSeek's: the compressed state and the part of the key that carries the position.
    ...(latent === undefined ? {} : { latentKvLength: latent + (count(shape.qk_rope_head_dim) ?? 0) }),
    ...(window ? { slidingWindowTokens: window } : {}),
    contextTokens,
    ...(quantization === undefined ? {} : { quantization }),
    isAdapter: false,
  }
}

/** What `adapter_config.json` (PEFT) says: the adapter's rank and base. */
export function hubAdapterFacts(
  config: unknown,
  fileBytes: number,
): { readonly facts: ModelFacts; readonly rank: number | undefined } {
  const top = fields(config)
  return {
    rank: count(top.r) || undefined,
    facts: {
      format: 'safetensors',
      architecture: text(top.base_model_name_or_path) ?? 'unknown',
      weightBytes: fileBytes,
      fileBytes,
      layers: 0,
      embeddingLength: 0,
      heads: 0,
      kvHeads: 0,
      keyLength: 0,
      valueLength: 0,
      contextTokens: 0,
      hasChatTemplate: false,
      isAdapter: true,
    },
  }
}

/** Hybrids keep keys and values in some layers only. */
function attendingLayers(shape: Readonly<Record<string, unknown>>, layers: number, kvHeads: number) {
  const types = shape.layer_types
  if (
    Array.isArray(types) &&
    types.length === layers &&
    types.some((type) => /linear|mamba|recurrent/.test(String(type)))
  ) {
    return types.map((type) => (/linear|mamba|recurrent/.test(String(type)) ? 0 : kvHeads))
  }
  const interval = count(shape.full_attention_interval)
  if (!Array.isArray(types) && interval !== undefined && interval > 1) {
    return Array.from({ length: layers }, (_, layer) => ((layer + 1) % interval === 0 ? kvHeads : 0))
  }
  return kvHeads
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : {}
}

/** A whole number that no list or product of it can make absurd. */
function count(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= 1e9
    ? value
    : undefined
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value.slice(0, 200) : undefined
}
