import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashSecret, makeKey, parseKey, sameSecret, verifySecret } from './key-format.ts'

const PEPPER = 'a1'.repeat(32)

describe('makeKey', () => {
  it('writes an id, a secret and a checksum that parse back', () => {
    for (const prefix of ['yk', 'yj'] as const) {
      const key = makeKey(prefix, randomBytes)
      expect(key.text).toMatch(/^y[kj]_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}$/)
      expect(parseKey(key.text)).toEqual({ prefix, id: key.id, secret: key.secret })
    }
  })

  it('parses back whatever the random bytes were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (bytes) => {
        const key = makeKey('yk', (size) => bytes.slice(0, size))
        expect(parseKey(key.text)?.secret).toBe(key.secret)
      }),
    )
  })
})

describe('parseKey', () => {
  it('refuses a key with any one character changed', () => {
    const { text } = makeKey('yk', randomBytes)
    for (let at = 0; at < text.length; at++) {
      const other = text[at] === 'x' ? 'y' : 'x'
      expect(parseKey(text.slice(0, at) + other + text.slice(at + 1))).toBeUndefined()
    }
  })

  it('refuses any other text without throwing', () => {
    fc.assert(fc.property(fc.string(), (text) => parseKey(text) === undefined))
    expect(parseKey(`${makeKey('yk', randomBytes).text}\n`)).toBeUndefined()
  })
})

describe('verifySecret', () => {
  it('holds for the secret and the pepper that made the hash and for no other', () => {
    const { secret } = makeKey('yk', randomBytes)
    const hash = hashSecret(PEPPER, secret)
    expect(hash).toMatch(/^[0-9a-f]{64}$/)
    expect(verifySecret(PEPPER, secret, hash)).toBe(true)
    expect(verifySecret(PEPPER, makeKey('yk', randomBytes).secret, hash)).toBe(false)
    expect(verifySecret('b2'.repeat(32), secret, hash)).toBe(false)
    expect(verifySecret(PEPPER, secret, '')).toBe(false)
  })

  it('compares texts of different lengths as different', () => {
    expect(sameSecret('abc', 'abcd')).toBe(false)
    expect(sameSecret('abc', 'abc')).toBe(true)
  })
})
