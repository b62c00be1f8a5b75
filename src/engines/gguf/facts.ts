import type { ModelFacts } from '../../domain/facts.ts'
import { fileTypeName } from './file-types.ts'
import { type Gguf, type GgufInvalid, ggufArray, ggufNumber, ggufNumbers, ggufString } from './gguf.ts'

export type FactsResult = { readonly kind: 'ok'; readonly facts: ModelFacts } | GgufInvalid

/**
 * What a GGUF file says about its model. Refuses a model that lacks a key which llama.cpp cannot do without: some of
 * them end the loading process instead of failing the load. An adapter has no shape of its own, so its sizes are 0
 * and `isAdapter` is true. Only this file is counted: of a split model `ggufSplit` tells how many parts there are.
 */
export function ggufFacts(gguf: Gguf): FactsResult {
  const architecture = ggufString(gguf, 'general.architecture')
  if (architecture === undefined) return missing('general.architecture')
  const isAdapter = ggufString(gguf, 'general.type') === 'adapter'
  const whole = {
    format: 'gguf' as const,
    architecture,
    ...present('displayName', ggufString(gguf, 'general.name')),
    weightBytes: gguf.tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0),
    fileBytes: gguf.fileBytes,
    parameterCount: gguf.tensors.reduce(
      (sum, { dims }) => sum + dims.reduce((product, dim) => product * dim, 1),
      0,
    ),
    ...present('quantization', fileTypeName(ggufNumber(gguf, 'general.file_type') ?? -1)),
    hasChatTemplate: ggufString(gguf, 'tokenizer.chat_template') !== undefined,
    isAdapter,
  }
  if (isAdapter) return { kind: 'ok', facts: { ...whole, ...NO_SHAPE } }
  const absent = requiredKeys(architecture).find((keys) => !keys.some((key) => gguf.metadata.has(key)))
  if (absent !== undefined) return missing(absent.join('" or "'))
  const shape = readShape(gguf, architecture)
  if ('kind' in shape) return shape
  return {
    kind: 'ok',
    facts: {
      ...whole,
      ...shape,
      ...present('pooling', POOLING[number(gguf, `${architecture}.pooling_type`)]),
    },
  }
}

/** Which part of a split model this file is (from 0) and how many there are; one of one when it is not split. */
export function ggufSplit(gguf: Gguf): { readonly part: number; readonly parts: number } {
  return {
    part: ggufNumber(gguf, 'split.no') ?? 0,
    parts: Math.max(1, ggufNumber(gguf, 'split.count') ?? 1),
  }
}

const NO_SHAPE = {
  layers: 0,
  embeddingLength: 0,
  heads: 0,
  kvHeads: 0,
  keyLength: 0,
  valueLength: 0,
  contextTokens: 0,
} as const

const POOLING: Readonly<Record<number, NonNullable<ModelFacts['pooling']>>> = {
  0: 'none',
  1: 'mean',
  2: 'cls',
  3: 'last',
  4: 'rank',
}

/** Each entry: keys of which one must be there. Found by leaving out one at a time (llama.cpp 0.5). */
function requiredKeys(architecture: string): readonly (readonly string[])[] {
  return [
    [`${architecture}.block_count`],
    [`${architecture}.embedding_length`],
    [`${architecture}.context_length`],
    [`${architecture}.feed_forward_length`],
    [`${architecture}.attention.head_count`],
    [
      `${architecture}.attention.layer_norm_rms_epsilon`,
      `${architecture}.attention.layer_norm_epsilon`,
      `${architecture}.attention.group_norm_epsilon`,
    ],
    ['tokenizer.ggml.model'],
    ['tokenizer.ggml.tokens'],
  ]
}

type Shape = Pick<ModelFacts, keyof typeof NO_SHAPE> &
  Pick<ModelFacts, 'vocabSize' | 'latentKvLength' | 'slidingWindowTokens' | 'slidingLayers'>

function readShape(gguf: Gguf, architecture: string): Shape | GgufInvalid {
  const key = (name: string) => `${architecture}.${name}`
  const layers = size(gguf, key('block_count'))
  const embeddingLength = size(gguf, key('embedding_length'))
  const contextTokens = size(gguf, key('context_length'))
  const headCount = sizes(gguf, key('attention.head_count'))
  const kvHeadCount = sizes(gguf, key('attention.head_count_kv')) ?? headCount
  if (layers === undefined || embeddingLength === undefined || contextTokens === undefined) {
    return badShape(`"${key('block_count')}", "embedding_length" or "context_length" is not a whole number`)
  }
  if (headCount === undefined || kvHeadCount === undefined) {
    return badShape(`"${key('attention.head_count')}" or its "_kv" is not a whole number or a list of them`)
  }
  for (const list of [headCount, kvHeadCount]) {
    if (typeof list !== 'number' && list.length !== layers) {
      return badShape(`"${key('attention.head_count')}" is a list of ${list.length} for ${layers} layers`)
    }
  }
  const heads = typeof headCount === 'number' ? headCount : Math.max(0, ...headCount)
  const headLength = heads === 0 ? 0 : Math.floor(embeddingLength / heads)
  const keyLength = size(gguf, key('attention.key_length')) ?? headLength
  return {
    layers,
    embeddingLength,
    contextTokens,
    heads,
    kvHeads: recurrentAsZero(gguf, key('full_attention_interval'), layers, kvHeadCount),
    keyLength,
    valueLength: size(gguf, key('attention.value_length')) ?? headLength,
    ...present(
      'vocabSize',
      size(gguf, key('vocab_size')) ?? ggufArray(gguf, 'tokenizer.ggml.tokens')?.length,
    ),
    // llama.cpp keeps the compressed state, keys only, when these keys are there (llama-kv-cache.cpp: has_v = !is_mla).
    ...present('latentKvLength', gguf.metadata.has(key('attention.key_length_mla')) ? keyLength : undefined),
    ...slidingWindow(gguf, architecture, layers),
  }
}

/**
 * Every n-th layer attends to the whole context, the others to a window. Source: llama.cpp's model loaders, which
 * ignore the window for architectures that are not here unless the file states the pattern itself.
 */
const FULL_LAYER_EVERY: Readonly<Record<string, number>> = {
  gemma2: 2,
  gemma3: 6,
  gemma3n: 5,
  cohere2: 4,
  exaone4: 4,
  'gpt-oss': 2,
  olmo3: 4,
  smallthinker: 4,
}

function slidingWindow(
  gguf: Gguf,
  architecture: string,
  layers: number,
): Pick<ModelFacts, 'slidingWindowTokens' | 'slidingLayers'> {
  const slidingWindowTokens = size(gguf, `${architecture}.attention.sliding_window`)
  if (slidingWindowTokens === undefined || slidingWindowTokens === 0) return {}
  const patternKey = `${architecture}.attention.sliding_window_pattern`
  const perLayer = ggufArray(gguf, patternKey)?.items
  if (perLayer !== undefined) {
    return {
      slidingWindowTokens,
      slidingLayers: perLayer.filter((item) => item === true || item === 1).length,
    }
  }
  const every = size(gguf, patternKey) ?? FULL_LAYER_EVERY[architecture]
  if (every === undefined || every < 1) return {}
  return { slidingWindowTokens, slidingLayers: layers - Math.floor(layers / every) }
}

/** Hybrids attend in every n-th layer; the others keep a state that does not grow. */
function recurrentAsZero(
  gguf: Gguf,
  intervalKey: string,
  layers: number,
  kvHeads: number | number[],
): number | number[] {
  const interval = size(gguf, intervalKey)
  if (interval === undefined || interval < 2 || typeof kvHeads !== 'number') return kvHeads
  return Array.from({ length: layers }, (_, layer) => ((layer + 1) % interval === 0 ? kvHeads : 0))
}

function number(gguf: Gguf, key: string): number {
  return ggufNumber(gguf, key) ?? -1
}

function size(gguf: Gguf, key: string): number | undefined {
  const value = ggufNumber(gguf, key)
  return value !== undefined && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

function sizes(gguf: Gguf, key: string): number | number[] | undefined {
  const values = ggufNumbers(gguf, key)
  if (values === undefined || typeof values === 'number') return size(gguf, key)
  return values.every((value) => Number.isSafeInteger(value) && value >= 0) ? [...values] : undefined
}

function present<Key extends string, Value>(key: Key, value: Value | undefined): Partial<Record<Key, Value>> {
  return value === undefined ? {} : ({ [key]: value } as Record<Key, Value>)
}

function missing(key: string): GgufInvalid {
  return {
    kind: 'invalid',
    reason: 'missing_key',
    message: `the file lacks "${key}", without which the model cannot be loaded; convert or download it again`,
  }
}

function badShape(message: string): GgufInvalid {
  return { kind: 'invalid', reason: 'bad_metadata', message }
}
