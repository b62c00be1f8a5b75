import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { ggufFacts } from '../gguf/facts.ts'
import { parseGguf } from '../gguf/read.ts'
import { buildTiny, type TinyKind } from './build.ts'
import { countTransitions } from './corpus.ts'
import { toF16 } from './numbers.ts'
import { buildVocabulary } from './vocabulary.ts'

describe('the built-in models', () => {
  // A change here changes what everybody's `builtin:` models are: adapters, caches and recorded answers with them.
  it.each([
    ['tiny', '816f5c58a87a2e70ce7ce18120ed5097ec8ddb8143ba055c7d8172fb36744de7'],
    ['tiny-embed', '5d6d33517ad45495c348cbaf1bed733ca2e9eb112efb6e4420c2e82fc7e10bfa'],
    ['tiny-lora', 'b21c0bd723bd6ef9d6cf1692429c34cb12e7f6f14b205016b02a9054f86ab8a9'],
  ] as [TinyKind, string][])('%s is the same bytes on every machine', (kind, sha256) => {
    expect(createHash('sha256').update(buildTiny(kind)).digest('hex')).toBe(sha256)
  })

  it('are GGUF files that our reader accepts, with the facts of a small chat model', () => {
    expect(facts('tiny')).toEqual({
      kind: 'ok',
      facts: expect.objectContaining({
        architecture: 'llama',
        displayName: 'tiny',
        layers: 2,
        embeddingLength: 64,
        heads: 4,
        kvHeads: 2,
        keyLength: 16,
        contextTokens: 2048,
        quantization: 'F16',
        hasChatTemplate: true,
        isAdapter: false,
      }),
    })
    expect(facts('tiny-embed')).toMatchObject({ facts: { pooling: 'mean', hasChatTemplate: false } })
    expect(facts('tiny-lora')).toMatchObject({ facts: { isAdapter: true, architecture: 'llama' } })
  })

  it('are small enough to make on the spot', () => {
    expect(buildTiny('tiny').length).toBeLessThan(400_000)
  })

  it('can spell every word they say, one piece at a time', () => {
    const { idOf, voice } = buildVocabulary()
    for (const word of voice.filter((piece) => !piece.startsWith('<'))) {
      for (let length = 1; length <= word.length; length++) expect(idOf.has(word.slice(0, length))).toBe(true)
    }
  })

  it('always have something to say after a word, and can end', () => {
    const transitions = countTransitions()
    for (const followers of transitions.values()) {
      for (const to of followers.keys()) expect(transitions.has(to)).toBe(true)
    }
    expect(transitions.get('.')?.has('<|end|>')).toBe(true)
  })
})

describe('half floats', () => {
  it('round to nearest, ties to even', () => {
    const bits = (value: number) => {
      const [low, high] = toF16(Float32Array.of(value))
      return ((high ?? 0) << 8) | (low ?? 0)
    }
    expect(bits(1)).toBe(0x3c00)
    expect(bits(-2)).toBe(0xc000)
    expect(bits(1 + 2 ** -11)).toBe(0x3c00)
    expect(bits(1 + 3 * 2 ** -11)).toBe(0x3c02)
    expect(bits(1 + 2 ** -11 + 2 ** -20)).toBe(0x3c01)
    expect(bits(1e6)).toBe(0x7c00)
  })
})

function facts(kind: TinyKind) {
  const result = parseGguf(buildTiny(kind))
  if (result.kind === 'invalid') throw new Error(result.message)
  return ggufFacts(result.gguf)
}
