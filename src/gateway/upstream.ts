import type { ResponseSink } from './response-parser.ts'

/** Where requests for one replica go. Compiled once for each view. */
export interface UpstreamTarget {
  readonly replica: string
  readonly host: string
  readonly port: number
  readonly tls: boolean
  /** Names host, port and kind: connections are shared by all targets with the same one. */
  readonly address: string
  /** What stands before `/chat/completions` and its like. */
  readonly basePath: string
  /** Head lines that don't change between requests, each with its line end. Holds the upstream's credential. */
  readonly fixedHead: string
  /** The model's name at an external service, when it is another than ours. */
  readonly model: string | undefined
}

/** Why an upstream gave no (whole) answer. */
export interface UpstreamFault {
  readonly kind: 'refused' | 'unreachable' | 'reset' | 'bad_response'
  /** For the log. */
  readonly message: string
}

/** Follows one request to an upstream. Nothing is called after `onEnd`, `onFault` or an abort. */
export interface UpstreamListener extends ResponseSink {
  /** The connection stands and the request is on its way. */
  onSent(): void
  /** All that one read brought has been delivered. */
  onReadEnd(): void
  onFault(fault: UpstreamFault): void
}

/** A request that was sent. */
export interface UpstreamCall {
  /** The upstream sees its connection closed. */
  abort(): void
  pause(): void
  resume(): void
  /** Nothing more is wanted, but the answer is about to end: keep the connection if that comes soon. */
  letFinish(): void
}
