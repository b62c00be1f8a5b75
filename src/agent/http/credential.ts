import { createHash, timingSafeEqual } from 'node:crypto'

/** True when `given` is the secret. Takes the same time whatever is wrong with it. */
export function isCredential(given: string | undefined, secret: string | undefined): boolean {
  const same = timingSafeEqual(digest(given ?? ''), digest(secret ?? ''))
  return same && given !== undefined && secret !== undefined && secret !== ''
}

/** The token of an `Authorization: Bearer` header. */
export function bearerOf(header: string | null | undefined): string | undefined {
  return /^Bearer +(\S{1,4096})$/i.exec(header ?? '')?.[1]
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
