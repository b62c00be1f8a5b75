import { YardError } from '../../base/errors.ts'
import { parseKey, verifySecret } from '../../base/key-format.ts'
import type { Principal } from '../../domain/access.ts'
import type { ClusterCache } from '../cluster-cache.ts'
import { keyPepper } from '../machine-credentials.ts'
import { tables } from '../records.ts'

/** Compared with when there is no such key, so that an unknown id takes as long as a wrong secret. */
const NO_HASH = '0'.repeat(64)

/**
 * Who sends this request, by its key in `Authorization: Bearer` or `x-api-key`. Junk is refused by its checksum; the
 * rest is one look into memory by id. Throws `unauthenticated`, with one text for all keys that are not good.
 */
export function authenticate(
  headers: Headers,
  deps: { readonly cache: ClusterCache; readonly pepper: string; readonly nowMs: number },
): Principal {
  const text = credentialOf(headers)
  if (text === undefined) {
    throw new YardError('unauthenticated', 'this request carries no key', {
      reason: 'no_key',
      hint: 'send the header authorization: Bearer yk_…; the CLI takes it from YARD_TOKEN',
    })
  }
  const parsed = parseKey(text)
  if (parsed?.prefix !== 'yk') throw notGood()
  const key = deps.cache.get(tables.keys, parsed.id)?.value
  const matches = verifySecret(keyPepper(deps.pepper), parsed.secret, key?.hash ?? NO_HASH)
  if (key === undefined || !matches) throw notGood()
  if (key.expiresAtMs !== undefined && key.expiresAtMs <= deps.nowMs) {
    throw new YardError('unauthenticated', 'this key has expired', {
      reason: 'key_expired',
      hint: 'make another with yard key create',
    })
  }
  return {
    keyId: key.id,
    name: key.name,
    scopes: key.scopes,
    ...(key.models === undefined ? {} : { models: key.models }),
    ...(key.subject === undefined ? {} : { subject: key.subject }),
  }
}

function credentialOf(headers: Headers): string | undefined {
  const authorization = headers.get('authorization')
  if (authorization !== null) return /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? ''
  return headers.get('x-api-key') ?? undefined
}

function notGood(): YardError {
  return new YardError('unauthenticated', 'this key is not valid here', {
    reason: 'key_not_valid',
    hint: 'it may have been revoked, or belong to another server; see yard whoami and --server',
  })
}
