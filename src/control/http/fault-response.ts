import { isYardError, YardError } from '../../base/errors.ts'

/** The one envelope of every fault. What is not a YardError is our own mistake and says no more than that. */
export function faultResponse(error: unknown, requestId: string): Response {
  const fault = isYardError(error) ? error : unexpected(error)
  const body = {
    error: {
      code: fault.code,
      message: fault.message,
      reason: fault.reason,
      details: fault.details,
      hint: fault.hint,
      requestId,
    },
  }
  const headers: Record<string, string> = {}
  if (fault.code === 'unauthenticated') headers['www-authenticate'] = 'Bearer realm="yard"'
  if (fault.retryable) headers['retry-after'] = '1'
  const allow = fault.details?.allow
  if (fault.code === 'method_not_allowed' && Array.isArray(allow)) headers.allow = allow.join(', ')
  return Response.json(body, { status: fault.status, headers })
}

function unexpected(cause: unknown): YardError {
  return new YardError('internal', 'the server failed to answer; this is a bug', {
    hint: 'report it with the request id; the log of the server has the rest',
    cause,
  })
}
