import { YardError } from '../base/errors.ts'
import type { Compare, Op } from './store.ts'

/** Most compares, and most ops, in one transaction: etcd's default `--max-txn-ops`, held by every driver. */
export const TXN_MAX_OPS = 128

/** Most bytes (UTF-8) of keys and values in one transaction: under etcd's default `--max-request-bytes`. */
export const TXN_MAX_BYTES = 1_048_576

/** The longest lease: what a timer can hold (24 days). */
export const LEASE_MAX_TTL_MS = 2_147_483_647

/** Throws `invalid_request` or `too_large` for a transaction that no driver may accept. */
export function checkTxn(compare: readonly Compare[], ops: readonly Op[]): void {
  for (const [what, count] of [
    ['compares', compare.length],
    ['ops', ops.length],
  ] as const) {
    if (count > TXN_MAX_OPS) {
      throw new YardError(
        'invalid_request',
        `A transaction has ${count} ${what}; ${TXN_MAX_OPS} are allowed.`,
        {
          reason: 'too_many_ops',
          hint: 'Split the change, or compare one key that stands for many.',
        },
      )
    }
  }
  for (const { key, modRevision } of compare) {
    checkKey(key)
    checkRevision(modRevision)
  }
  const keys = new Set<string>()
  let bytes = 0
  for (const op of ops) {
    checkKey(op.key)
    if (keys.has(op.key)) throw invalid(`The key ${op.key} stands twice in one transaction.`, 'duplicate_key')
    keys.add(op.key)
    bytes += Buffer.byteLength(op.key)
    if (op.kind === 'put') {
      checkText(op.value, `the value of ${op.key}`)
      bytes += Buffer.byteLength(op.value)
    }
  }
  if (bytes > TXN_MAX_BYTES) {
    throw new YardError('too_large', `A transaction holds ${bytes} bytes; ${TXN_MAX_BYTES} are allowed.`, {
      hint: 'Store large things as files and keep only their names in the store.',
    })
  }
}

/** Throws `invalid_request` for an empty key or one that UTF-8 cannot hold. */
export function checkKey(key: string): void {
  if (key === '') throw invalid('A key is empty.', 'empty_key')
  checkText(key, 'a key')
}

/** Throws `invalid_request` for a prefix that UTF-8 cannot hold. */
export function checkPrefix(prefix: string): void {
  checkText(prefix, 'a prefix')
}

/** Throws `invalid_request` unless 0 or a positive integer. */
export function checkRevision(revision: number): void {
  if (!Number.isSafeInteger(revision) || revision < 0) {
    throw invalid(`${revision} is not a revision: it must be an integer, 0 or more.`, 'bad_revision')
  }
}

/** Throws `invalid_request` unless absent or a positive integer. */
export function checkLimit(limit: number | undefined): void {
  if (limit !== undefined && (!Number.isSafeInteger(limit) || limit < 1)) {
    throw invalid(`${limit} is not a limit: it must be a positive integer.`, 'bad_limit')
  }
}

/** Throws `invalid_request` unless an integer in 1 … `LEASE_MAX_TTL_MS`. */
export function checkTtl(ttlMs: number): void {
  if (!Number.isSafeInteger(ttlMs) || ttlMs < 1 || ttlMs > LEASE_MAX_TTL_MS) {
    throw invalid(`${ttlMs} is not a lease's TTL: it must be 1 … ${LEASE_MAX_TTL_MS} ms.`, 'bad_ttl')
  }
}

function checkText(text: string, what: string): void {
  // A lone surrogate would come back as U+FFFD from disk and from etcd, but not from memory.
  if (/\p{Surrogate}/u.test(text)) {
    throw invalid(`UTF-8 cannot hold ${what}: it has half of a surrogate pair.`, 'not_unicode')
  }
}

function invalid(message: string, reason: string): YardError {
  return new YardError('invalid_request', message, { reason })
}
