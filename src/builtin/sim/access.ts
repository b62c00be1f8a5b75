import { createHash, timingSafeEqual } from 'node:crypto'

/** Whether an `Authorization` header carries one of the engine's keys. Compares digests in constant time. */
export type KeyCheck = (authorization: string | undefined) => boolean

/** Without keys everybody passes, as in vLLM. */
export function keyCheck(keys: readonly string[]): KeyCheck {
  const digests = keys.map(digest)
  return (authorization) => {
    if (digests.length === 0) return true
    const [scheme, key] = /^(\S+) (.+)$/.exec(authorization ?? '')?.slice(1) ?? []
    if (key === undefined || scheme?.toLowerCase() !== 'bearer') return false
    const given = digest(key)
    let matches = false
    for (const known of digests) matches = timingSafeEqual(given, known) || matches
    return matches
  }
}

/**
 * Paths that need a key. vLLM guards these prefixes and nothing else: `/metrics`, `/rerank`, `/tokenize` and
 * the like stay open, which is why an engine's port is never exposed. `/admin` is ours.
 */
export function isGuarded(path: string): boolean {
  return GUARDED.some((prefix) => path.startsWith(prefix))
}

const GUARDED = ['/v1', '/v2', '/inference', '/cohere', '/admin']

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
