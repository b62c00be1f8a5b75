/** Head of an upstream's answer: what the gateway reads of it. Other headers never leave this file. */
export interface ResponseHead {
  readonly status: number
  readonly contentType: string
  /** Length of the body when the head tells it. */
  readonly contentLength: number | undefined
  readonly retryAfter: string | undefined
  readonly contentEncoding: string | undefined
}

/** Takes the parts of one answer as they come. `bytes` is only valid during the call. */
export interface ResponseSink {
  onHead(head: ResponseHead): void
  onBody(bytes: Buffer, start: number, end: number): void
  /** The answer is whole. `reusable`: the connection may carry another request. */
  onEnd(reusable: boolean): void
}

/**
 * HTTP/1.1 answers of one connection, one at a time (RFC 9112). Strict: what an engine would never send (folded
 * headers, two lengths, a length beside chunks, a head above 32 KiB) is refused, since after it nobody knows
 * where the answer ends.
 */
export class ResponseParser {
  readonly #sink: ResponseSink
  #state: State = 'idle'
  /** Bytes of a head or chunk line that is not yet whole, as latin1. */
  #partial = ''
  /** Bytes left of the body or of the present chunk. */
  #left = 0
  #keepAlive = true

  constructor(sink: ResponseSink) {
    this.#sink = sink
  }

  /** True between answers. */
  get idle(): boolean {
    return this.#state === 'idle'
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
  take(bytes: Buffer, length: number): string | undefined {
    let at = 0
    while (at < length) {
      switch (this.#state) {
        case 'head': {
          const next = this.#takeHead(bytes, at, length)
          if (typeof next === 'string') return next
          at = next
          break
        }
        case 'body':
        case 'chunk': {
          const end = Math.min(length, at + this.#left)
          this.#left -= end - at
          const wasBody = this.#state === 'body'
          if (this.#left === 0 && !wasBody) this.#state = 'chunk-end'
          this.#sink.onBody(bytes, at, end)
          at = end
          if (wasBody && this.#left === 0 && this.#is('body')) this.#finish(at === length)
          break
        }
        case 'until-close':
          this.#sink.onBody(bytes, at, length)
          return undefined
        case 'chunk-size':
        case 'chunk-end':
        case 'trailer': {
          const lineEnd = bytes.indexOf(LF, at)
          if (lineEnd === -1 || lineEnd >= length) {
            this.#partial += bytes.toString('latin1', at, length)
            return this.#partial.length > LONGEST_LINE ? 'a chunk line is too long' : undefined
          }
          const line = this.#partial + bytes.toString('latin1', at, lineEnd)
          this.#partial = ''
          at = lineEnd + 1
          const wrong = this.#takeLine(line.endsWith('\r') ? line.slice(0, -1) : line, at === length)
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

  #takeHead(bytes: Buffer, at: number, length: number): number | string {
    const before = this.#partial.length
    const text = this.#partial + bytes.toString('latin1', at, Math.min(length, at + LONGEST_HEAD))
    const end = text.indexOf('\r\n\r\n', Math.max(0, before - 3))
    if (end === -1) {
      if (text.length >= LONGEST_HEAD) return 'the head of the answer is too long'
      this.#partial = text
      return length
    }
    this.#partial = ''
    const next = at + end + 4 - before
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
    if (empty && this.#is('body')) this.#finish(next === length)
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
    const size = CHUNK_SIZE.exec(line)?.[1]
    if (size === undefined) return 'a chunk has no size'
    this.#left = Number.parseInt(size, 16)
    this.#state = this.#left === 0 ? 'trailer' : 'chunk'
    return undefined
  }

  /** The state after a call of the sink, which may have stopped us. */
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

const LF = 10
const LONGEST_HEAD = 32 * 1024
const LONGEST_LINE = 8 * 1024
const CHUNK_SIZE = /^([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?$/
const STATUS_LINE = /^HTTP\/1\.([01]) (\d{3})(?: |$)/

type ParsedHead = ResponseHead & { readonly chunked: boolean; readonly keepAlive: boolean }

/** Reads `text` up to `end`, or says what is wrong with it. */
function parseHead(text: string, end: number): ParsedHead | string {
  const firstEnd = Math.min(end, indexOr(text.indexOf('\r\n'), end))
  const statusLine = STATUS_LINE.exec(text.slice(0, firstEnd))
  if (!statusLine) return 'the answer is not HTTP/1.1'
  let keepAlive = statusLine[1] === '1'
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
    const nameLength = colon - start
    // Most headers are of no interest; their length tells.
    if (
      nameLength === 10 ||
      nameLength === 11 ||
      nameLength === 12 ||
      nameLength === 14 ||
      nameLength === 16 ||
      nameLength === 17
    ) {
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
          contentType = value
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
    status: Number(statusLine[2]),
    contentType,
    contentLength,
    retryAfter,
    contentEncoding,
    chunked,
    keepAlive,
  }
}

function indexOr(index: number, otherwise: number): number {
  return index === -1 ? otherwise : index
}
