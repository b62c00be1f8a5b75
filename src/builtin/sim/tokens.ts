import { TextDecoder, TextEncoder } from 'node:util'
import { WORDS } from './words.ts'

/**
 * A small reversible tokenizer: a known word, with or without the space before it and in lower case or with a
 * capital, is one token; everything else goes in groups of up to three UTF-8 bytes. About four characters a
 * token on English, like a real one, and `detokenize(tokenize(text))` is `text`.
 */
export function tokenize(text: string): number[] {
  const tokens: number[] = []
  for (const [piece] of text.matchAll(PIECES)) {
    const word = wordTokens.get(piece)
    if (word !== undefined) tokens.push(word)
    else pushBytes(tokens, encoder.encode(piece))
  }
  return tokens
}

/** The text of tokens. Unknown ids, special tokens and bytes that are no UTF-8 come out as nothing or U+FFFD. */
export function detokenize(tokens: readonly number[]): string {
  const decoder = tokenDecoder()
  return tokens.map((token) => decoder(token)).join('') + decoder(undefined)
}

/**
 * Decodes one token at a time. A character split over two tokens comes with the second; call it with
 * undefined at the end to get what is left of a broken one.
 */
export function tokenDecoder(): (token: number | undefined) => string {
  let decoder: TextDecoder | undefined
  return (token) => {
    const word = token === undefined ? '' : texts[token - FIRST_WORD]
    // Most tokens are words; only byte groups need the state of a decoder.
    if (word !== undefined) return (decoder?.decode() ?? '') + word
    const bytes = bytesOf(token ?? 0)
    decoder ??= new TextDecoder('utf-8', { ignoreBOM: true })
    return decoder.decode(bytes, { stream: true })
  }
}

/** Ends a text. Decodes to nothing. */
export const END_TOKEN = 1
/** Where a chat message begins. Decodes to nothing. */
export const MESSAGE_TOKEN = 2

/** The token of a word (lower case), with a space before it and with a capital as asked. */
export function wordToken(word: number, shape: { space: boolean; capital: boolean }): number {
  return FIRST_WORD + (word % WORDS.length) * 4 + (shape.space ? 1 : 0) + (shape.capital ? 2 : 0)
}

const FIRST_WORD = 16
const FIRST_BYTES = 65_536
const PIECES = / ?[A-Za-z]+|[^A-Za-z ]+| /g
const encoder = new TextEncoder()

const texts: readonly string[] = WORDS.flatMap((word) => {
  const capital = word.charAt(0).toUpperCase() + word.slice(1)
  return [word, ` ${word}`, capital, ` ${capital}`]
})
const wordTokens: ReadonlyMap<string, number> = new Map(texts.map((text, at) => [text, FIRST_WORD + at]))

/** Groups of one, two and three bytes have their own ranges, so that a group says how long it is. */
function pushBytes(tokens: number[], bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 3) {
    const [a = 0, b, c] = bytes.subarray(at, at + 3)
    if (b === undefined) tokens.push(FIRST_BYTES + a)
    else if (c === undefined) tokens.push(FIRST_BYTES + 2 ** 8 + a * 2 ** 8 + b)
    else tokens.push(FIRST_BYTES + 2 ** 8 + 2 ** 16 + a * 2 ** 16 + b * 2 ** 8 + c)
  }
}

function bytesOf(token: number): Uint8Array {
  let value = token - FIRST_BYTES
  if (value < 0) return new Uint8Array()
  if (value < 2 ** 8) return Uint8Array.of(value)
  value -= 2 ** 8
  if (value < 2 ** 16) return Uint8Array.of(value >> 8, value & 255)
  value -= 2 ** 16
  return value < 2 ** 24 ? Uint8Array.of(value >> 16, (value >> 8) & 255, value & 255) : new Uint8Array()
}
