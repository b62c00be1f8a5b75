import type { GgufArray, GgufValue } from '../gguf/gguf.ts'
import { type TensorToWrite, writeGguf } from '../gguf/write.ts'
import { ADAPTER_TRANSITIONS, countTransitions } from './corpus.ts'
import { toF16, toF32, uniformNumbers } from './numbers.ts'
import { BEGIN_ID, buildVocabulary, END_PIECE, type Vocabulary } from './vocabulary.ts'

/** `tiny` chats, `tiny-embed` turns text into vectors, `tiny-lora` is an adapter for `tiny`. */
export type TinyKind = 'tiny' | 'tiny-embed' | 'tiny-lora'

const SHAPE = { layers: 2, width: 64, heads: 4, kvHeads: 2, headWidth: 16, ff: 128, context: 2048 } as const

/** How far a learned follower stands above the rest, in logits. */
const CERTAINTY = 9
/** How far the adapter's followers stand above that. */
const ADAPTER_CERTAINTY = 20
/** What keeps pieces that are no words from being said. */
const SILENCE = -6

/**
 * The bytes of a built-in model: a real llama-architecture GGUF that any engine loads, made on the spot, so that a
 * service can be tried on a laptop without a download. It is not trained and knows nothing. Same kind, same bytes.
 */
export function buildTiny(kind: TinyKind): Uint8Array {
  const vocabulary = buildVocabulary()
  if (kind === 'tiny-lora') return buildAdapter(vocabulary)
  const metadata: [string, GgufValue][] = [
    ['general.architecture', text('llama')],
    ['general.type', text('model')],
    ['general.name', text(kind)],
    ['general.file_type', uint32(1)],
    ['llama.context_length', uint32(SHAPE.context)],
    ['llama.embedding_length', uint32(SHAPE.width)],
    ['llama.block_count', uint32(SHAPE.layers)],
    ['llama.feed_forward_length', uint32(SHAPE.ff)],
    ['llama.attention.head_count', uint32(SHAPE.heads)],
    ['llama.attention.head_count_kv', uint32(SHAPE.kvHeads)],
    ['llama.attention.key_length', uint32(SHAPE.headWidth)],
    ['llama.attention.value_length', uint32(SHAPE.headWidth)],
    ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: Math.fround(1e-5) }],
    ['llama.rope.dimension_count', uint32(SHAPE.headWidth)],
    ['llama.rope.freq_base', { type: 'float32', value: 10_000 }],
    ['llama.vocab_size', uint32(vocabulary.pieces.length)],
    ...(kind === 'tiny-embed' ? [['llama.pooling_type', uint32(1)] as [string, GgufValue]] : []),
    ...tokenizer(vocabulary, kind),
  ]
  return writeGguf(metadata, modelTensors(vocabulary))
}

const CHAT_TEMPLATE =
  "{% for message in messages %}{% if message['role'] == 'system' %}{{ '<|system|>' }}" +
  "{% elif message['role'] == 'assistant' %}{{ '<|assistant|>' }}{% else %}{{ '<|user|>' }}{% endif %}" +
  "{{ message['content'] + '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"

function tokenizer(vocabulary: Vocabulary, kind: TinyKind): [string, GgufValue][] {
  return [
    ['tokenizer.ggml.model', text('llama')],
    ['tokenizer.ggml.pre', text('default')],
    ['tokenizer.ggml.tokens', array('string', vocabulary.pieces)],
    ['tokenizer.ggml.scores', array('float32', vocabulary.scores)],
    ['tokenizer.ggml.token_type', array('int32', vocabulary.kinds)],
    ['tokenizer.ggml.bos_token_id', uint32(BEGIN_ID)],
    ['tokenizer.ggml.eos_token_id', uint32(idOf(vocabulary, END_PIECE))],
    ['tokenizer.ggml.unknown_token_id', uint32(0)],
    ['tokenizer.ggml.add_bos_token', { type: 'bool', value: true }],
    ['tokenizer.ggml.add_eos_token', { type: 'bool', value: false }],
    ['tokenizer.ggml.add_space_prefix', { type: 'bool', value: false }],
    ...(kind === 'tiny' ? [['tokenizer.chat_template', text(CHAT_TEMPLATE)] as [string, GgufValue]] : []),
  ]
}

function modelTensors(vocabulary: Vocabulary): TensorToWrite[] {
  const { width, headWidth, heads, kvHeads, ff } = SHAPE
  const random = uniformNumbers(7700)
  const embeddings = embed(vocabulary, random)
  const tensors = [
    matrix('token_embd.weight', width, embeddings),
    ones('output_norm.weight', width),
    matrix('output.weight', width, outputRows(vocabulary, embeddings)),
  ]
  // Small beside the embeddings: what came before colours the answer but does not decide it.
  for (let layer = 0; layer < SHAPE.layers; layer++) {
    const name = (part: string) => `blk.${layer}.${part}.weight`
    const noise = (part: string, inputs: number, outputs: number, scale: number, silentFirst = false) =>
      matrix(name(part), inputs, randomRows(random, inputs, outputs, scale, silentFirst))
    tensors.push(
      ones(name('attn_norm'), width),
      noise('attn_q', width, heads * headWidth, 0.2),
      noise('attn_k', width, kvHeads * headWidth, 0.2),
      noise('attn_v', width, kvHeads * headWidth, 0.2),
      noise('attn_output', heads * headWidth, width, 0.05, true),
      ones(name('ffn_norm'), width),
      noise('ffn_gate', width, ff, 0.15),
      noise('ffn_up', width, ff, 0.15),
      noise('ffn_down', ff, width, 0.03, true),
    )
  }
  return tensors
}

/**
 * One row for each piece. Spoken pieces get the rows of a Hadamard matrix (signs of the bits that two numbers share),
 * which are at right angles; the rest get random signs. The first column is 1 everywhere: a constant for biases.
 */
function embed(vocabulary: Vocabulary, random: () => number): Float32Array[] {
  const rows = vocabulary.pieces.map(() =>
    Float32Array.from({ length: SHAPE.width }, (_, column) => (column === 0 || random() >= 0 ? 1 : -1)),
  )
  if (vocabulary.voice.length >= SHAPE.width) throw new RangeError('the corpus has too many distinct pieces')
  for (const [index, piece] of vocabulary.voice.entries()) {
    rows[idOf(vocabulary, piece)] = Float32Array.from({ length: SHAPE.width }, (_, column) =>
      sharedBitsAreOdd(index + 1, column) ? -1 : 1,
    )
  }
  return rows
}

function sharedBitsAreOdd(a: number, b: number): boolean {
  let shared = a & b
  let odd = false
  for (; shared !== 0; shared &= shared - 1) odd = !odd
  return odd
}

/** Row of a piece: the embeddings of all that it follows, so that their product is large exactly after those. */
function outputRows(vocabulary: Vocabulary, embeddings: readonly Float32Array[]): Float32Array[] {
  const spoken = new Set(vocabulary.voice)
  const rows = vocabulary.pieces.map((piece) => {
    const row = new Float32Array(SHAPE.width)
    row[0] = spoken.has(piece) ? 0 : SILENCE
    return row
  })
  for (const [from, followers] of countTransitions()) {
    const most = Math.max(...followers.values())
    for (const [to, times] of followers) {
      // A rarer follower stands a little lower, so that greedy answers prefer the common one.
      const weight = (CERTAINTY - 0.5 * (most - times)) / (SHAPE.width - 1)
      addScaled(rows[idOf(vocabulary, to)], embeddings[idOf(vocabulary, from)], weight)
    }
  }
  return rows
}

function buildAdapter(vocabulary: Vocabulary): Uint8Array {
  const embeddings = embed(vocabulary, uniformNumbers(7700))
  const rank = ADAPTER_TRANSITIONS.length
  const down: Float32Array[] = []
  const up = vocabulary.pieces.map(() => new Float32Array(rank))
  for (const [index, [from, to]] of ADAPTER_TRANSITIONS.entries()) {
    const row = new Float32Array(SHAPE.width)
    addScaled(row, embeddings[idOf(vocabulary, from)], 1 / (SHAPE.width - 1))
    down.push(row)
    const target = up[idOf(vocabulary, to)]
    if (target !== undefined) target[index] = ADAPTER_CERTAINTY
  }
  return writeGguf(
    [
      ['general.architecture', text('llama')],
      ['general.type', text('adapter')],
      ['general.name', text('tiny-lora')],
      ['general.file_type', uint32(1)],
      ['adapter.type', text('lora')],
      ['adapter.lora.alpha', { type: 'float32', value: rank }],
    ],
    [matrix('output.weight.lora_a', SHAPE.width, down), matrix('output.weight.lora_b', rank, up)],
  )
}

/** Leaves the first column, the constant, alone. */
function addScaled(row: Float32Array | undefined, other: Float32Array | undefined, scale: number): void {
  if (row === undefined || other === undefined) return
  for (let column = 1; column < SHAPE.width; column++) {
    row[column] = (row[column] ?? 0) + (other[column] ?? 0) * scale
  }
}

/** `silentFirst` keeps the constant column of the residual stream constant. */
function randomRows(
  random: () => number,
  inputs: number,
  outputs: number,
  scale: number,
  silentFirst: boolean,
): Float32Array[] {
  return Array.from({ length: outputs }, (_, output) =>
    Float32Array.from({ length: inputs }, () => {
      const value = random() * scale
      return silentFirst && output === 0 ? 0 : value
    }),
  )
}

function matrix(name: string, inputs: number, rows: readonly Float32Array[]): TensorToWrite {
  const values = new Float32Array(inputs * rows.length)
  for (const [index, row] of rows.entries()) values.set(row, index * inputs)
  return { name, dims: [inputs, rows.length], type: 'F16', data: toF16(values) }
}

/** Norms stay F32, as llama.cpp wants them. */
function ones(name: string, width: number): TensorToWrite {
  return { name, dims: [width], type: 'F32', data: toF32(new Float32Array(width).fill(1)) }
}

function idOf(vocabulary: Vocabulary, piece: string): number {
  const id = vocabulary.idOf.get(piece)
  if (id === undefined) throw new RangeError(`the vocabulary lacks "${piece}"`)
  return id
}

function array(of: GgufArray['of'], items: readonly (string | number)[]): GgufArray {
  return { type: 'array', of, length: items.length, items }
}

function text(value: string): GgufValue {
  return { type: 'string', value }
}

function uint32(value: number): GgufValue {
  return { type: 'uint32', value }
}
