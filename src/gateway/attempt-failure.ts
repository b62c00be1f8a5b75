import type { AttemptFailure, AttemptTimeout } from './attempt-owner.ts'
import { clientErrorOf } from './engine-error.ts'
import { gatewayErrors } from './gateway-error.ts'
import type { StreamFault } from './stream-event.ts'
import type { UpstreamFault } from './upstream.ts'

/** The connection failed, or what came over it was no answer. */
export function faultFailure(fault: UpstreamFault): AttemptFailure {
  const { kind, message } = fault
  if (kind === 'refused' || kind === 'unreachable') {
    const end = { kind: kind === 'refused' ? 'connect_refused' : 'connect_failed' } as const
    return { end, error: gatewayErrors.unreachable(), source: 'gateway', message }
  }
  const end = kind === 'bad_response' ? ({ kind: 'bad_answer' } as const) : ({ kind: 'reset' } as const)
  return { end, error: gatewayErrors.upstreamFailed(), source: 'gateway', message }
}

/** The engine answered with an error status. */
export function statusFailure(status: number, text: string, retryAfter: string | undefined): AttemptFailure {
  const characters = Buffer.from(text, 'latin1').toString('utf8')
  return {
    end: { kind: 'status', status },
    error: clientErrorOf(status, characters, retryAfter),
    source: 'engine',
    message: `status ${status}`,
  }
}

/** The engine said status 200 and then told of a failure before any output. */
export function inBandFailure(fault: StreamFault): AttemptFailure {
  if (fault.kind === 'aborted') {
    return {
      end: { kind: 'aborted' },
      error: gatewayErrors.upstreamFailed(),
      source: 'gateway',
      message: 'the engine aborted the request',
    }
  }
  const error = clientErrorOf(fault.status, fault.body, undefined)
  const message = `error ${fault.status} under status 200`
  return fault.status < 500 || fault.status === 503
    ? { end: { kind: 'status', status: fault.status }, error, source: 'engine', message }
    : { end: { kind: 'error_event' }, error, source: 'engine', message }
}

export function timeoutFailure(which: AttemptTimeout): AttemptFailure {
  const message = `${which} timeout`
  return which === 'connect'
    ? { end: { kind: 'connect_failed' }, error: gatewayErrors.unreachable(), source: 'gateway', message }
    : { end: { kind: 'no_output' }, error: gatewayErrors.upstreamTimeout(), source: 'gateway', message }
}
