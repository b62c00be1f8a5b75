import { countTransitions } from './corpus.ts'

/** A SentencePiece vocabulary in GGUF's terms. `kind` is llama.cpp's token type. */
export interface Vocabulary {
  readonly pieces: readonly string[]
  readonly scores: readonly number[]
  readonly kinds: readonly number[]
  /** Number of each piece. */
  readonly idOf: ReadonlyMap<string, number>
  /** The pieces that the model says, in a fixed order. */
  readonly voice: readonly string[]
}

export const BEGIN_ID = 1
export const END_PIECE = '<|end|>'

const KIND = { normal: 1, unknown: 2, control: 3, byte: 6 } as const
const CONTROLS = ['<s>', '</s>', '<|system|>', '<|user|>', '<|assistant|>', END_PIECE]

/**
 * Control tokens, all 256 bytes (any text can be written), printable ASCII, and every word of the corpus with all of
 * its beginnings: SentencePiece joins two pieces at a time, so a word is reached only through its beginnings.
 */
export function buildVocabulary(): Vocabulary {
  const pieces: string[] = []
  const scores: number[] = []
  const kinds: number[] = []
  const idOf = new Map<string, number>()
  const add = (piece: string, score: number, kind: number) => {
    if (idOf.has(piece)) return
    idOf.set(piece, pieces.length)
    pieces.push(piece)
    scores.push(score)
    kinds.push(kind)
  }
  add('<unk>', 0, KIND.unknown)
  for (const piece of CONTROLS) add(piece, 0, KIND.control)
  for (let byte = 0; byte < 256; byte++) {
    add(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`, 0, KIND.byte)
  }
  add('▁', -100, KIND.normal)
  for (let code = 0x21; code < 0x7f; code++) add(String.fromCharCode(code), -100, KIND.normal)
  const voice = voicePieces()
  for (const word of voice) {
    for (let length = 2; length <= word.length; length++)
      add(word.slice(0, length), length - 100, KIND.normal)
  }
  return { pieces, scores, kinds, idOf, voice }
}

function voicePieces(): string[] {
  const voice = new Set<string>()
  for (const [from, followers] of countTransitions()) {
    voice.add(from)
    for (const to of followers.keys()) voice.add(to)
  }
  return [...voice]
}
