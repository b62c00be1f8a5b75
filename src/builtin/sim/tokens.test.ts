import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { detokenize, END_TOKEN, tokenDecoder, tokenize, wordToken } from './tokens.ts'

describe('the tokenizer', () => {
  it('gives back any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
        expect(detokenize(tokenize(text))).toBe(text)
      }),
    )
  })

  it('makes one token of a known word with the space before it', () => {
    expect(tokenize('The river and the train')).toHaveLength(5)
  })

  it('takes about four characters a token of English', () => {
    const text = 'Where did the old machine stand, and how many people still remember its sound at night?'
    expect(text.length / tokenize(text).length).toBeGreaterThan(3)
  })

  it('holds back half a character until the other half comes', () => {
    const tokens = tokenize('日本語')
    const decode = tokenDecoder()
    expect(tokens.map((token) => decode(token)).join('')).toBe('日本語')
    const split = tokenize('a日').map(decode)
    expect(split.join('')).toBe('a日')
  })

  it('turns special tokens into nothing', () => {
    expect(detokenize([END_TOKEN, wordToken(0, { space: false, capital: true })])).toBe('The')
  })
})
