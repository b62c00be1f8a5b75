import { hash } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { parseKey, verifySecret } from '../base/key-format.ts'
import type { Key, Principal } from '../domain/access.ts'
import type { ViewIndex } from './view-index.ts'

/** Tells whose key it is. */
export interface Authenticator {
  /** Whom `token` proves, by `index`; undefined for every token that proves nobody now. */
  authenticate(token: string | undefined, index: ViewIndex): Principal | undefined
}

/**
 * Remembers a good key under the hash of the whole credential, for a bounded time and only within one view, so
 * that a revocation works as soon as its view arrives. Junk and wrong secrets are never remembered.
 */
export function createAuthenticator(deps: {
  clock: Clock
  maxCachedKeys: number
  cachedKeyMs: number
}): Authenticator {
  let cachedFor: ViewIndex | undefined
  const cache = new Map<string, { principal: Principal; untilMs: number }>()

  return {
    authenticate(token, index) {
      if (token === undefined || token.length > LONGEST_TOKEN) return undefined
      if (cachedFor !== index) {
        cachedFor = index
        cache.clear()
      }
      const nowMs = deps.clock.now()
      const digest = hash('sha256', token, 'binary')
      const known = cache.get(digest)
      if (known !== undefined && known.untilMs > nowMs) return known.principal
      if (known !== undefined) cache.delete(digest)
      const key = verify(token, index, nowMs)
      if (key === undefined) return undefined
      if (cache.size >= deps.maxCachedKeys) {
        const oldest = cache.keys().next().value
        if (oldest !== undefined) cache.delete(oldest)
      }
      const untilMs = Math.min(nowMs + deps.cachedKeyMs, key.expiresAtMs ?? Number.POSITIVE_INFINITY)
      const principal = principalOf(key)
      cache.set(digest, { principal, untilMs })
      return principal
    },
  }
}

const LONGEST_TOKEN = 256
const NO_HASH = '0'.repeat(64)

function verify(token: string, index: ViewIndex, nowMs: number): Key | undefined {
  const parsed = parseKey(token)
  if (parsed === undefined) return undefined
  const key = index.keys.get(parsed.id)
  // Compared also when there is no such id, so that the time does not tell which ids exist.
  const right = verifySecret(index.pepper, parsed.secret, key?.hash ?? NO_HASH)
  if (key === undefined || !right || parsed.prefix !== 'yk') return undefined
  return key.expiresAtMs !== undefined && key.expiresAtMs <= nowMs ? undefined : key
}

function principalOf(key: Key): Principal {
  return {
    keyId: key.id,
    name: key.name,
    scopes: key.scopes,
    ...(key.models === undefined ? {} : { models: key.models }),
    ...(key.subject === undefined ? {} : { subject: key.subject }),
  }
}
