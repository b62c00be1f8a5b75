import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { StopText } from './stop-text.ts'
import { TokenText } from './token-text.ts'

describe('stop strings', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 12 })
  const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 1, maxLength: 4 }), {
    maxLength: 4,
  })

  it('end the text before the first of them, however it is cut into pieces', () => {
    fc.assert(
      fc.property(fc.array(letters), stops, (pieces, strings) => {
        const whole = pieces.join('')
        const matcher = new StopText(strings)
        let shown = ''
        let stopped = false
        for (const piece of pieces) {
          const released = matcher.push(piece)
          shown += released.text
          // Nothing shown so far may be taken back.
          expect(whole.startsWith(shown)).toBe(true)
          stopped = released.stopped
          if (stopped) break
        }
        if (!stopped) shown += matcher.end()
        expect({ shown, stopped }).toEqual(atOnce(whole, strings))
      }),
      { numRuns: 1000 },
    )
  })

  it('are held back while they may still come, and shown when they do not', () => {
    const matcher = new StopText(['</answer>'])
    expect(matcher.push('yes</ans')).toEqual({ text: 'yes', stopped: false })
    expect(matcher.push('umption')).toEqual({ text: '</ansumption', stopped: false })
    expect(matcher.push(' </answer')).toEqual({ text: ' ', stopped: false })
    expect(matcher.push('> more')).toEqual({ text: '', stopped: true })
  })
})

/** The plain way: look at every beginning of the text, shortest first. */
function atOnce(whole: string, stops: readonly string[]): { shown: string; stopped: boolean } {
  for (let end = 1; end <= whole.length; end++) {
    const ends = stops.filter((stop) => whole.slice(0, end).endsWith(stop))
    if (ends.length > 0) {
      return { shown: whole.slice(0, end - Math.max(...ends.map((stop) => stop.length))), stopped: true }
    }
  }
  return { shown: whole, stopped: false }
}

describe('text from tokens', () => {
  const bytes = (tokens: readonly number[]) => new TextDecoder().decode(Uint8Array.from(tokens))

  it('is the same as decoding all at once, when tokens are bytes of text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }), (before, text) => {
        const stream = new TokenText(bytes, [...new TextEncoder().encode(before)])
        let shown = ''
        for (const byte of new TextEncoder().encode(text)) {
          const piece = stream.push(byte)
          expect(piece).not.toContain('\uFFFD')
          shown += piece
        }
        expect(shown).toBe(text)
      }),
    )
  })

  it('never shows an incomplete code point and survives noise of any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (noise) => {
        const stream = new TokenText(bytes, [])
        let shown = ''
        for (const byte of noise) shown += stream.push(byte)
        const whole = bytes([...noise])
        const complete = whole.endsWith('\uFFFD') ? whole.slice(0, -1) : whole
        expect(() => encodeURIComponent(shown)).not.toThrow()
        expect(shown.replaceAll('\uFFFD', '')).toBe(complete.replaceAll('\uFFFD', ''))
      }),
    )
  })

  it('holds an emoji until its last byte', () => {
    const stream = new TokenText(bytes, [])
    expect([...new TextEncoder().encode('a🚂b')].map((byte) => stream.push(byte))).toEqual([
      'a',
      '',
      '',
      '',
      '🚂',
      'b',
    ])
  })
})
