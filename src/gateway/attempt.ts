import { type BreakerOutcome, breakerOutcome } from '../decide/breaker.ts'
import { faultFailure, inBandFailure, statusFailure, timeoutFailure } from './attempt-failure.ts'
import type { AttemptFailure, AttemptOwner, AttemptTimeout } from './attempt-owner.ts'
import { gatewayErrors } from './gateway-error.ts'
import type { Occupation } from './load-book.ts'
import type { ResponseHead } from './response-parser.ts'
import type { GatewaySettings } from './settings.ts'
import { classifyAnswer, type StreamFault, type Usage } from './stream-event.ts'
import { StreamScanner } from './stream-scanner.ts'
import type { UpstreamCall, UpstreamFault, UpstreamListener } from './upstream.ts'

/**
 * One try at one replica. Follows the answer and holds the head of a stream back until the first output, so that a
 * failure up to there can still become another try or a real status. Tells its owner exactly one of `failed`,
 * `answered`, or `committed` and after it `ended` or `broke`.
 */
export class Attempt implements UpstreamListener {
  readonly replica: string
  readonly #choices: number
  readonly #owner: AttemptOwner
  readonly #occupation: Occupation
  readonly #settings: GatewaySettings
  #call: UpstreamCall | undefined
  #head: ResponseHead | undefined
  #scanner: StreamScanner | undefined
  /** What came and was not dealt with: a read of a stream, or all of an answer in one piece. */
  #text = ''
  /** The head of a stream without output. */
  #held = ''
  #committed = false
  #over = false

  /** `choices`: a stream without `[DONE]` is whole when so many gave a reason to finish. */
  constructor(
    replica: string,
    choices: number,
    owner: AttemptOwner,
    more: { readonly occupation: Occupation; readonly settings: GatewaySettings },
  ) {
    this.replica = replica
    this.#choices = choices
    this.#owner = owner
    this.#occupation = more.occupation
    this.#settings = more.settings
  }

  /** The call that it follows. */
  follow(call: UpstreamCall): void {
    this.#call = call
  }

  get committed(): boolean {
    return this.#committed
  }

  get usage(): Usage | undefined {
    return this.#scanner?.usage
  }

  pause(): void {
    this.#call?.pause()
  }

  resume(): void {
    this.#call?.resume()
  }

  /** The client left: the upstream sees its connection closed, and nobody is told. */
  abort(): void {
    if (this.#finish('neutral')) this.#call?.abort()
  }

  timeOut(which: AttemptTimeout): void {
    this.#call?.abort()
    const outcome = which === 'total' ? 'neutral' : 'failure'
    if (this.#committed) this.#break('', `${which} timeout`, outcome)
    else this.#fail(timeoutFailure(which), outcome)
  }

  /** Nothing has gone to the client, and nothing is expected any more: as if the connection had broken. */
  giveUp(message: string): void {
    if (this.#committed) return
    this.#call?.abort()
    this.#fail(faultFailure({ kind: 'reset', message }), 'neutral')
  }

  /** The gateway can't wait any longer for it to end. */
  cutOff(): void {
    this.#call?.abort()
    this.#break('', 'the gateway shut down', 'neutral')
  }

  onSent(): void {
    if (!this.#over) this.#owner.sent()
  }

  onHead(head: ResponseHead): void {
    this.#head = head
    if (head.status < 300 && /^text\/event-stream\b/i.test(head.contentType))
      this.#scanner = new StreamScanner()
  }

  onBody(piece: string): void {
    this.#text = this.#text === '' ? piece : this.#text + piece
  }

  onReadEnd(): void {
    if (this.#over || this.#text === '') return
    if (this.#scanner !== undefined) this.#relay(this.#scanner)
    else if (this.#committed) this.#owner.passed(this.#take())
    else if (this.#text.length > this.#settings.maxWholeAnswerBytes) this.#passLargeAnswer()
  }

  onEnd(): void {
    if (this.#over) return
    if (this.#scanner !== undefined) this.#endStream(this.#scanner)
    else if (this.#committed) this.#end(this.#take(), undefined)
    else this.#endWhole(this.#head as ResponseHead)
  }

  onFault(fault: UpstreamFault): void {
    if (this.#scanner !== undefined && this.#text !== '' && !this.#over) this.#relay(this.#scanner)
    if (this.#over) return
    if (this.#committed) this.#break(this.#take(), fault.message, 'failure')
    else this.#fail(faultFailure(fault))
  }

  /** What came of a stream goes on to the client, or waits for the first output. */
  #relay(scanner: StreamScanner): void {
    const piece = this.#take()
    const kept = scanner.scan(piece)
    const text = kept === piece.length ? piece : piece.slice(0, kept)
    const { end } = scanner
    if (this.#committed) {
      if (end === undefined) this.#owner.passed(text)
      else this.#endAt(end, text)
      return
    }
    this.#held += text
    if (end !== undefined && end.kind !== 'done') {
      this.#failInBand(end)
      return
    }
    if (end === undefined && !scanner.outputSeen && !this.#isFull(scanner)) return
    this.#commit(this.#held)
    this.#held = ''
    if (end !== undefined) this.#endAt(end, '')
  }

  #isFull(scanner: StreamScanner): boolean {
    return scanner.events > this.#settings.maxHeldEvents || this.#held.length > this.#settings.maxHeldBytes
  }

  #commit(text: string): void {
    this.#committed = true
    this.#occupation.firstOutput()
    this.#owner.committed(this.#head as ResponseHead, text, this.#scanner !== undefined)
  }

  /** The stream itself told its end; `text` is the last of it. */
  #endAt(end: NonNullable<StreamScanner['end']>, text: string): void {
    if (end.kind === 'done') {
      this.#end(text, this.usage)
      this.#call?.letFinish()
      return
    }
    this.#call?.abort()
    if (end.kind === 'aborted') this.#break(text, 'the engine aborted the request', 'failure')
    else if (this.#finish(breakerOutcome({ kind: 'status', status: end.status })))
      this.#owner.broke(text, undefined, 'error event')
  }

  /** The body of a stream is over, with or without a word of it in the stream. */
  #endStream(scanner: StreamScanner): void {
    if (this.#text !== '') this.#relay(scanner)
    if (this.#over) return
    scanner.finish()
    const whole = scanner.end?.kind === 'done' || scanner.finishes >= this.#choices
    if (!this.#committed)
      this.#fail(faultFailure({ kind: 'reset', message: 'the stream ended before any output' }))
    else if (whole) this.#end('', scanner.usage)
    else this.#break('', 'the stream ended early', 'failure')
  }

  /** An answer in one piece is here. */
  #endWhole(head: ResponseHead): void {
    const text = this.#take()
    if (head.status >= 400) {
      this.#fail(statusFailure(head.status, text, head.retryAfter))
      return
    }
    if (head.status >= 300 || isEncoded(head) || !/^\s*[[{]/.test(text)) {
      this.#fail(faultFailure({ kind: 'bad_response', message: `status ${head.status} without JSON` }))
      return
    }
    const { usage, fault } = classifyAnswer(text)
    if (fault !== undefined) this.#failInBand(fault)
    else if (this.#finish('success')) this.#owner.answered(head, text, usage)
  }

  /** Too large to be read whole: from here it is passed on as it comes. */
  #passLargeAnswer(): void {
    const head = this.#head as ResponseHead
    if (head.status >= 300 || isEncoded(head)) {
      this.#call?.abort()
      this.#endWhole(head)
    } else this.#commit(this.#take())
  }

  #failInBand(fault: StreamFault): void {
    this.#call?.abort()
    this.#fail(inBandFailure(fault))
  }

  #fail(failure: AttemptFailure, outcome = breakerOutcome(failure.end)): void {
    if (this.#finish(outcome)) this.#owner.failed(failure)
  }

  #end(text: string, usage: Usage | undefined): void {
    if (this.#finish('success')) this.#owner.ended(text, usage)
  }

  #break(text: string, reason: string, outcome: BreakerOutcome): void {
    if (this.#finish(outcome)) this.#owner.broke(text, gatewayErrors.streamBroken(), reason)
  }

  /** False when it was over already. */
  #finish(outcome: BreakerOutcome): boolean {
    if (this.#over) return false
    this.#over = true
    this.#occupation.report(outcome)
    this.#occupation.release()
    return true
  }

  #take(): string {
    const text = this.#text
    this.#text = ''
    return text
  }
}

function isEncoded({ contentEncoding }: ResponseHead): boolean {
  return contentEncoding !== undefined && contentEncoding.toLowerCase() !== 'identity'
}
