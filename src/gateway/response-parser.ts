/** Head of an upstream's answer: what the gateway reads of it. Other headers never leave this file. */
export interface ResponseHead {
  readonly status: number
  readonly contentType: string
  /** Length of the body when the head tells it. */
  readonly contentLength: number | undefined
  readonly retryAfter: string | undefined
  readonly contentEncoding: string | undefined
}

/** Takes the parts of one answer as they come. */
export interface ResponseSink {
  onHead(head: ResponseHead): void
  /** Bytes of the body as latin1: one character for each. */
  onBody(text: string): void
  /** The answer is whole. `reusable`: the connection may carry another request. */
  onEnd(reusable: boolean): void
}

/**
 * HTTP/1.1 answers of one connection, one at a time (RFC 9112). Works on text, bytes read as latin1: it is made once
 * for each read, and the parts of it cost nothing. Strict: what an engine would never send (folded headers, two
 * lengths, a length beside chunks, a head above 32 KiB) is refused, since after it nobody knows where the answer
 * ends.
 */
export class ResponseParser {
  readonly #sink: ResponseSink
  #state: State = 'idle'
  /** Of a head or chunk line that is not yet whole. */
  #partial = ''
  /** Bytes left of the body or of the present chunk. */
  #left = 0
  #keepAlive = true

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  /** A request was sent: its answer may come. */
  expect(): void {
    this.#state = 'head'
    this.#partial = ''
    this.#keepAlive = true
  }

  /** Drops what may still come. Safe within a call of the sink. */
  stop(): void {
    this.#state = 'stopped'
  }

  /** Takes what was read. Returns what is wrong with it, after which the connection is of no more use. */
  take(text: string): string | undefined {
    let at = 0
    while (at < text.length) {
      switch (this.#state) {
        case 'head': {
          const next = this.#takeHead(text)
          if (typeof next === 'string') return next
          at = next
          // 100 Continue may stand before the answer in the same read.
          if (this.#is('head') && at < text.length) return this.take(text.slice(at))
          break
        }
        case 'body':
        case 'chunk': {
          const end = Math.min(text.length, at + this.#left)
          this.#left -= end - at
          const wasBody = this.#state === 'body'
          if (this.#left === 0 && !wasBody) this.#state = 'chunk-end'
          this.#sink.onBody(at === 0 && end === text.length ? text : text.slice(at, end))
          at = end
          if (wasBody && this.#left === 0 && this.#is('body')) this.#finish(at === text.length)
          break
        }
        case 'until-close':
          this.#sink.onBody(at === 0 ? text : text.slice(at))
          return undefined
        case 'chunk-size':
        case 'chunk-end':
        case 'trailer': {
          // Nearly always both bytes behind a chunk are here.
          if (this.#state === 'chunk-end' && this.#partial === '' && text.startsWith('\r\n', at)) {
            at += 2
            this.#state = 'chunk-size'
            break
          }
          const lineEnd = text.indexOf('\n', at)
          if (lineEnd === -1) {
            this.#partial += text.slice(at)
            return this.#partial.length > LONGEST_LINE ? 'a chunk line is too long' : undefined
          }
          const line = this.#partial + text.slice(at, lineEnd)
          this.#partial = ''
          at = lineEnd + 1
          const wrong = this.#takeLine(line.endsWith('\r') ? line.slice(0, -1) : line, at === text.length)
          if (wrong !== undefined) return wrong
          break
        }
        case 'idle':
          return 'bytes came that nobody asked for'
        case 'stopped':
          return undefined
      }
    }
    return undefined
  }

  /** The peer hung up. True when that ends the answer properly. */
  takeEnd(): boolean {
    if (this.#state !== 'until-close') return false
    this.#finish(false)
    return true
  }

  /** How much of the read belongs to the head, or what is wrong with it. */
  #takeHead(read: string): number | string {
    const before = this.#partial.length
    const text = before === 0 ? read : this.#partial + read
    const end = text.indexOf('\r\n\r\n', Math.max(0, before - 3))
    if (end === -1 || end > LONGEST_HEAD) {
      if (text.length >= LONGEST_HEAD) return 'the head of the answer is too long'
      this.#partial = text
      return read.length
    }
    this.#partial = ''
    const next = end + 4 - before
    const head = parseHead(text, end)
    if (typeof head === 'string') return head
    // 100 Continue and its kind come before the answer.
    if (head.status < 200) return head.status === 101 ? 'the upstream wants another protocol' : next
    this.#keepAlive = head.keepAlive
    const empty = head.status === 204 || head.status === 304 || head.contentLength === 0
    this.#left = empty ? 0 : (head.contentLength ?? 0)
    if (empty || head.contentLength !== undefined) this.#state = 'body'
    else this.#state = head.chunked ? 'chunk-size' : 'until-close'
    this.#sink.onHead(head)
    if (empty && this.#is('body')) this.#finish(next === read.length)
    return next
  }

  #takeLine(line: string, last: boolean): string | undefined {
    if (this.#state === 'chunk-end') {
      if (line !== '') return 'a chunk is longer than it said'
      this.#state = 'chunk-size'
      return undefined
    }
    if (this.#state === 'trailer') {
      if (line === '') this.#finish(last)
      return undefined
    }
    // Behind a semicolon there may be an extension, which nobody uses.
    if (!CHUNK_SIZE.test(line)) return 'a chunk has no size'
    this.#left = Number.parseInt(line, 16)
    this.#state = this.#left === 0 ? 'trailer' : 'chunk'
    return undefined
  }

  /** The state after a call that may have changed it. */
  #is(state: State): boolean {
    return this.#state === state
  }

  #finish(nothingFollows: boolean): void {
    this.#state = nothingFollows ? 'idle' : 'stopped'
    this.#sink.onEnd(nothingFollows && this.#keepAlive)
  }
}

type State =
  | 'idle'
  | 'head'
  | 'body'
  | 'chunk'
  | 'chunk-size'
  | 'chunk-end'
  | 'trailer'
  | 'until-close'
  | 'stopped'

const LONGEST_HEAD = 32 * 1024
const LONGEST_LINE = 8 * 1024
const CHUNK_SIZE = /^[0-9A-Fa-f]{1,8}[ \t]*(?:;|$)/
const STATUS_LINE = /^HTTP\/1\.[01] \d{3}[ \r]/
const VISIBLE = /^[\x20-\x7e]*$/

type ParsedHead = ResponseHead & { readonly chunked: boolean; readonly keepAlive: boolean }

/** Reads `text` up to `end`, or says what is wrong with it. */
function parseHead(text: string, end: number): ParsedHead | string {
  const firstEnd = Math.min(end, indexOr(text.indexOf('\r\n'), end))
  if (!STATUS_LINE.test(text) || firstEnd < 12) return 'the answer is not HTTP/1.1'
  let keepAlive = text.charCodeAt(7) === 0x31
  let contentType = ''
  let contentLength: number | undefined
  let retryAfter: string | undefined
  let contentEncoding: string | undefined
  let chunked = false
  for (let start = firstEnd + 2; start < end; ) {
    const lineEnd = Math.min(end, indexOr(text.indexOf('\r\n', start), end))
    const colon = text.indexOf(':', start)
    if (colon <= start || colon > lineEnd) return 'a header has no name'
    const first = text.charCodeAt(start)
    if (first === 0x20 || first === 0x09) return 'a header is folded'
    // Most headers are of no interest; the length of the name tells.
    if (isLengthOfInterest(colon - start)) {
      const value = text.slice(colon + 1, lineEnd).trim()
      switch (text.slice(start, colon).toLowerCase()) {
        case 'content-length':
          if (!/^\d{1,15}$/.test(value)) return 'the length of the answer is no number'
          if (contentLength !== undefined && contentLength !== Number(value))
            return 'the answer has two lengths'
          contentLength = Number(value)
          break
        case 'transfer-encoding':
          if (value.toLowerCase() !== 'chunked' || chunked) return 'the transfer encoding is not chunked'
          chunked = true
          break
        case 'content-type':
          // It goes on to the client as it is.
          contentType = VISIBLE.test(value) ? value : ''
          break
        case 'connection':
          if (/\bclose\b/i.test(value)) keepAlive = false
          else if (/\bkeep-alive\b/i.test(value)) keepAlive = true
          break
        case 'retry-after':
          retryAfter = value
          break
        case 'content-encoding':
          contentEncoding = value
          break
      }
    }
    start = lineEnd + 2
  }
  if (chunked && contentLength !== undefined) return 'the answer has a length and chunks'
  return {
    status: Number(text.slice(9, 12)),
    contentType,
    contentLength,
    retryAfter,
    contentEncoding,
    chunked,
    keepAlive,
  }
}

/** Of `connection`, `retry-after`, `content-type`, `content-length`, `content-encoding`, `transfer-encoding`. */
function isLengthOfInterest(length: number): boolean {
  return length === 10 || length === 11 || length === 12 || length === 14 || length === 16 || length === 17
}

function indexOr(index: number, otherwise: number): number {
  return index === -1 ? otherwise : index
}
