import type { AttemptEnd } from '../decide/retry.ts'
import type { GatewayError } from './gateway-error.ts'
import type { ResponseHead } from './response-parser.ts'
import type { Usage } from './stream-event.ts'

/** Which deadline passed: to connect, to the first output, between two reads, or the request's own. */
export type AttemptTimeout = 'connect' | 'first_output' | 'inter_chunk' | 'total'

/** Why a try failed before anything of it went to the client, and what the client is told if it was the last. */
export interface AttemptFailure {
  readonly end: AttemptEnd
  readonly error: GatewayError
  /** `engine` when the error has the engine's own words. */
  readonly source: 'gateway' | 'engine'
  /** For the log; holds nothing of the request or the answer. */
  readonly message: string
}

/** What one try brings to its request. Text is bytes as latin1. */
export interface AttemptOwner {
  /** The connection stands and the request is on its way. */
  sent(): void
  /** Nothing went to the client: the request may be tried elsewhere. */
  failed(failure: AttemptFailure): void
  /** The whole answer is here, and nothing has gone to the client. */
  answered(head: ResponseHead, text: string, usage: Usage | undefined): void
  /** First part of an answer that is passed on as it comes. From here on there is no other try. */
  committed(head: ResponseHead, text: string, isStream: boolean): void
  passed(text: string): void
  /** A committed answer ended as it should; `text` is the last of it. */
  ended(text: string, usage: Usage | undefined): void
  /** A committed answer broke. `error` is to be told, and absent when `text` ends with the engine's own error event. */
  broke(text: string, error: GatewayError | undefined, reason: string): void
}
