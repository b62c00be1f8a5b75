import { classifyEvent, type StreamFault, type Usage } from './stream-event.ts'

/**
 * Reads along a server-sent-event stream without holding it up. Text is the bytes as latin1, so that a cut through
 * a character or an event does no harm; lines may end in LF, CRLF or CR.
 */
export class StreamScanner {
  /** Data events seen whole. */
  events = 0
  /** A token, tool call or anything else that must not be sent twice. */
  outputSeen = false
  /** Choices that gave a reason to finish. */
  finishes = 0
  usage: Usage | undefined
  /** Set when the stream is over: `[DONE]`, or a fault told in it. Nothing is scanned after. */
  end: { readonly kind: 'done' } | StreamFault | undefined

  /** The line that is not yet whole. */
  #line = ''
  /** Data lines of the event that is not yet whole. */
  #data: string | undefined
  #eventName = ''
  /** The last terminator was a CR: an LF next belongs to it. */
  #afterCr = false
  /** Inside a line that grew too long to look at. */
  #skipping = false

  /**
   * Takes the next piece and says how much of it may go to the client: all, or (when `end` was set) up to the end
   * of the last event; of an aborted generation, up to its beginning where that is still in hand.
   */
  scan(piece: string): number {
    const carried = this.#line.length
    const text = carried === 0 ? piece : this.#line + piece
    const hasCr = text.includes('\r')
    // No terminator before `carried`, or the line would have ended there.
    let at = 0
    let searchFrom = carried
    let eventStart = this.#data === undefined && !this.#skipping ? 0 : -1
    for (;;) {
      const lineEnd = hasCr ? nextTerminator(text, searchFrom) : text.indexOf('\n', searchFrom)
      if (lineEnd === -1) break
      const next = lineEnd + 1
      if (text.charCodeAt(lineEnd) === LF && this.#afterCr && lineEnd === at) {
        this.#afterCr = false
        if (eventStart === at) eventStart = next
      } else {
        this.#afterCr = text.charCodeAt(lineEnd) === CR
        if (lineEnd === at && !this.#skipping) {
          this.#dispatch()
          if (this.end !== undefined) {
            const cut =
              this.end.kind === 'aborted' && eventStart >= carried ? eventStart : afterPair(text, next)
            return Math.max(0, cut - carried)
          }
          eventStart = next
        } else {
          this.#takeLine(text, at, lineEnd)
        }
      }
      at = next
      searchFrom = next
    }
    this.#keep(text, at)
    return piece.length
  }

  /** The stream ended: what stands unfinished counts when it is the `[DONE]` that some servers don't terminate. */
  finish(): void {
    if (this.end !== undefined) return
    if (this.#line !== '') this.#takeLine(this.#line, 0, this.#line.length)
    this.#line = ''
    if (this.#data === DONE) this.#dispatch()
  }

  #keep(text: string, at: number): void {
    if (this.#skipping || text.length - at > LONGEST_LINE) {
      this.#skipping = at < text.length || this.#skipping
      this.#line = ''
    } else {
      this.#line = at === text.length ? '' : text.slice(at)
    }
  }

  #takeLine(text: string, start: number, end: number): void {
    if (this.#skipping) {
      // Too long to look at, so surely content.
      this.#skipping = false
      this.outputSeen = true
      return
    }
    if (text.startsWith('data:', start)) {
      const data = text.slice(text.charCodeAt(start + 5) === SPACE ? start + 6 : start + 5, end)
      this.#data = this.#data === undefined ? data : `${this.#data}\n${data}`
    } else if (text.startsWith('event:', start)) {
      this.#eventName = text.slice(start + 6, end).trim()
    }
  }

  #dispatch(): void {
    const data = this.#data
    const eventName = this.#eventName
    this.#data = undefined
    this.#eventName = ''
    if (data === undefined) return
    this.events++
    if (data === DONE) {
      this.end = { kind: 'done' }
      return
    }
    if (this.outputSeen && eventName !== 'error' && !needsALook(data)) return
    const found = classifyEvent(data, eventName)
    if (found.usage !== undefined) this.usage = found.usage
    this.finishes += found.finishes
    if (found.fault !== undefined) this.end = found.fault
    else if (found.output) this.outputSeen = true
  }
}

const DONE = '[DONE]'
const LF = 10
const CR = 13
const SPACE = 32
const LONGEST_LINE = 1024 * 1024

/**
 * True when an event that follows the first output may hold more than a token: an error, usage, an end. Inside a
 * JSON string these quotes would be escaped, so a match is never text of the model. Searched by their letters, since
 * JSON is full of the quotes before them.
 */
function needsALook(data: string): boolean {
  return (
    hasValue(data, 'finish_reason"', QUOTE) || hasValue(data, 'usage"', OPEN_BRACE) || data.includes('error"')
  )
}

const QUOTE = 0x22
const OPEN_BRACE = 0x7b
const COLON = 0x3a

/** True when a value that begins with `first` follows the end of a key. */
function hasValue(data: string, keyEnd: string, first: number): boolean {
  for (let at = data.indexOf(keyEnd); at !== -1; at = data.indexOf(keyEnd, at + keyEnd.length)) {
    let place = at + keyEnd.length
    while (data.charCodeAt(place) === SPACE || data.charCodeAt(place) === COLON) place++
    if (data.charCodeAt(place) === first) return true
  }
  return false
}

function nextTerminator(text: string, from: number): number {
  const lf = text.indexOf('\n', from)
  const cr = text.indexOf('\r', from)
  if (lf === -1) return cr
  return cr === -1 ? lf : Math.min(lf, cr)
}

/** Behind the LF of a CRLF whose CR stands before `at`. */
function afterPair(text: string, at: number): number {
  return text.charCodeAt(at - 1) === CR && text.charCodeAt(at) === LF ? at + 1 : at
}
