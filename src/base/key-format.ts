import { createHmac, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const ID_CHARS = 12
const SECRET_CHARS = 43
const CRC_CHARS = 6
const SHAPE = /^(yk|yj)_([0-9A-Za-z]{12})_([0-9A-Za-z]{43})([0-9A-Za-z]{6})$/
const LONGEST_CHARS = 2 + 1 + ID_CHARS + 1 + SECRET_CHARS + CRC_CHARS

/** `yk`: a key of a person, program or machine. `yj`: a join token. */
export type KeyPrefix = 'yk' | 'yj'

/** The parts of a well-formed credential. `secret` is never logged or kept. */
export interface ParsedKey {
  readonly prefix: KeyPrefix
  readonly id: string
  readonly secret: string
}

/**
 * A new credential, `<prefix>_<id:12>_<secret:43><crc:6>` in base62: 71 bits of id and 256 of secret. The CRC-32
 * over all before it lets a scanner, and us, tell junk from a key without asking the store. `randomBytes` must be
 * a cryptographic source.
 */
export function makeKey(
  prefix: KeyPrefix,
  randomBytes: (size: number) => Uint8Array,
): ParsedKey & { readonly text: string } {
  const id = base62(randomBytes(16), ID_CHARS)
  const secret = base62(randomBytes(32), SECRET_CHARS)
  const body = `${prefix}_${id}_${secret}`
  return { prefix, id, secret, text: body + checksum(body) }
}

/** The parts of a credential; undefined for anything that was never one of ours. Costs the same for all junk. */
export function parseKey(text: string): ParsedKey | undefined {
  if (text.length !== LONGEST_CHARS) return undefined
  const match = SHAPE.exec(text)
  if (!match) return undefined
  if (checksum(text.slice(0, -CRC_CHARS)) !== match[4]) return undefined
  const [, prefix, id, secret] = match
  if (id === undefined || secret === undefined) return undefined
  return { prefix: prefix === 'yj' ? 'yj' : 'yk', id, secret }
}

/**
 * Hex of HMAC-SHA-256(pepper, secret): all that is kept of a secret. `pepper` is hex. A fast hash is enough
 * because the secret has 256 random bits; the pepper keeps a stolen store useless.
 */
export function hashSecret(pepper: string, secret: string): string {
  return createHmac('sha256', Buffer.from(pepper, 'hex')).update(secret).digest('hex')
}

/** True when `hash` is the secret's, compared in constant time. */
export function verifySecret(pepper: string, secret: string, hash: string): boolean {
  return sameSecret(hashSecret(pepper, secret), hash)
}

/** Compares two secrets in time that depends on their lengths only. */
export function sameSecret(left: string, right: string): boolean {
  const a = Buffer.from(left)
  const b = Buffer.from(right)
  return a.length === b.length && timingSafeEqual(a, b)
}

function checksum(body: string): string {
  return fixedWidth(BigInt(crc32(body)), CRC_CHARS)
}

function base62(bytes: Uint8Array, chars: number): string {
  return fixedWidth(BigInt(`0x${Buffer.from(bytes).toString('hex')}`), chars)
}

/** The lowest `chars` digits in base 62. */
function fixedWidth(value: bigint, chars: number): string {
  let rest = value
  let text = ''
  for (let place = 0; place < chars; place++) {
    text = ALPHABET.charAt(Number(rest % 62n)) + text
    rest /= 62n
  }
  return text
}
