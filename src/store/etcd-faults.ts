import { type ServiceError, status } from '@grpc/grpc-js'
import { errorText, isYardError, YardError } from '../base/errors.ts'

/**
 * What etcd's answer means. gRPC's codes are too coarse, so some are told apart by etcd's texts, which are
 * constants of its API (`rpctypes/error.go`).
 */
export function etcdFault(error: unknown): YardError {
  if (isYardError(error)) return error
  const text = detailsOf(error)
  const more = { cause: error }
  switch (codeOf(error)) {
    case status.NOT_FOUND:
      return new YardError('invalid_request', 'The lease is not known: it expired or was revoked.', {
        reason: 'unknown_lease',
        hint: 'Grant a new lease and put the key with it.',
      })
    case status.OUT_OF_RANGE:
      return isCompacted(error)
        ? new YardError('compacted', `etcd no longer keeps that history: ${text}.`, more)
        : new YardError('invalid_request', `etcd refused the revision: ${text}.`, {
            ...more,
            reason: 'future_revision',
          })
    case status.UNAUTHENTICATED:
    case status.PERMISSION_DENIED:
      return refused(text, more)
    case status.INVALID_ARGUMENT:
      if (/authentication failed|user name is empty|auth/.test(text)) return refused(text, more)
      if (text.includes('too large')) return new YardError('too_large', `etcd refused it: ${text}.`, more)
      return new YardError('invalid_request', `etcd refused it: ${text}.`, more)
    case status.RESOURCE_EXHAUSTED:
      return new YardError('store_unavailable', `etcd takes nothing more: ${text}.`, {
        ...more,
        reason: 'exhausted',
        hint: 'When its database is full: compact, defragment, then `etcdctl alarm disarm`.',
      })
    default:
      return new YardError('store_unavailable', `etcd did not answer: ${text}.`, {
        ...more,
        hint: 'The change may or may not have been applied: read before trying again. Check etcd.',
      })
  }
}

/** True when another member, or the same a moment later, may well answer. */
export function isTransient(error: unknown): boolean {
  const code = codeOf(error)
  return code === status.UNAVAILABLE || code === status.DEADLINE_EXCEEDED || code === status.ABORTED
}

/** True when the token has expired or permissions were edited since; nothing was applied. */
export function isStaleToken(error: unknown): boolean {
  return /invalid auth token|revision of auth store is old/.test(detailsOf(error))
}

/** True when etcd has forgotten the revision that was asked for. */
export function isCompacted(error: unknown): boolean {
  return codeOf(error) === status.OUT_OF_RANGE && detailsOf(error).includes('has been compacted')
}

/** True when the revision that was asked for is not there yet. */
export function isFutureRevision(error: unknown): boolean {
  return codeOf(error) === status.OUT_OF_RANGE && detailsOf(error).includes('is a future revision')
}

/** True when the cluster does not use users and passwords. */
export function isAuthDisabled(error: unknown): boolean {
  return (
    codeOf(error) === status.FAILED_PRECONDITION && detailsOf(error).includes('authentication is not enabled')
  )
}

/** True when there is no such lease. */
export function isUnknownLease(error: unknown): boolean {
  return codeOf(error) === status.NOT_FOUND
}

function codeOf(error: unknown): status | undefined {
  return error instanceof Error && 'code' in error ? (error as ServiceError).code : undefined
}

function detailsOf(error: unknown): string {
  return error instanceof Error && 'details' in error ? (error as ServiceError).details : errorText(error)
}

function refused(text: string, more: { cause: unknown }): YardError {
  return new YardError('store_unavailable', `etcd does not let this user in: ${text}.`, {
    ...more,
    reason: 'refused',
    hint: 'Check the etcd user and password, and that its role may read and write the key prefix.',
  })
}
