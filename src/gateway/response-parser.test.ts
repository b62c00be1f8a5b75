import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type ResponseHead, ResponseParser } from './response-parser.ts'

/** Feeds the pieces; all that the parser told. */
function parse(pieces: readonly string[], hangUp = false) {
  const seen = {
    heads: [] as ResponseHead[],
    body: '',
    ends: [] as boolean[],
    wrong: undefined as string | undefined,
  }
  const parser = new ResponseParser({
    onHead: (head) => seen.heads.push(head),
    onBody: (text) => {
      seen.body += text
    },
    onEnd: (reusable) => seen.ends.push(reusable),
  })
  parser.expect()
  for (const piece of pieces) seen.wrong ??= parser.take(piece)
  if (hangUp && parser.takeEnd() === false) seen.wrong ??= 'hung up'
  return seen
}

const HEAD = 'HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: application/json\r\n'

describe('reading an answer', () => {
  it('takes a body of a told length', () => {
    const seen = parse([`${HEAD}Content-Length: 5\r\n\r\nhello`])
    expect(seen).toMatchObject({ body: 'hello', ends: [true], wrong: undefined })
    expect(seen.heads[0]).toMatchObject({ status: 200, contentType: 'application/json', contentLength: 5 })
  })

  it('takes chunks, with extensions and trailers', () => {
    expect(
      parse([`${HEAD}Transfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n1\r\n!\r\n0\r\nTrailer: a\r\n\r\n`]),
    ).toMatchObject({ body: 'hello!', ends: [true], wrong: undefined })
  })

  it('takes a body that ends with the connection, which is not used again', () => {
    expect(parse([`${HEAD}\r\nhel`, 'lo'], true)).toMatchObject({
      body: 'hello',
      ends: [false],
      wrong: undefined,
    })
  })

  it.each([
    'HTTP/1.1 204 No Content\r\n\r\n',
    'HTTP/1.1 304 X\r\ncontent-length: 10\r\n\r\n',
    `${HEAD}content-length: 0\r\n\r\n`,
  ])('knows an answer without a body: %s', (text) => {
    expect(parse([text])).toMatchObject({ body: '', ends: [true], wrong: undefined })
  })

  it('passes over 100 Continue', () => {
    expect(parse([`HTTP/1.1 100 Continue\r\n\r\n${HEAD}content-length: 1\r\n\r\na`])).toMatchObject({
      body: 'a',
      ends: [true],
    })
  })

  it.each([
    [`${HEAD}connection: close\r\ncontent-length: 1\r\n\r\na`, false],
    ['HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na', false],
    ['HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\na', true],
    [`${HEAD}content-length: 1\r\n\r\nab`, false],
  ])('keeps a connection only where that is safe: %s', (text, reusable) => {
    expect(parse([text]).ends).toEqual([reusable])
  })

  it.each([
    ['two lengths', `${HEAD}content-length: 1\r\ncontent-length: 2\r\n\r\n`],
    ['a length beside chunks', `${HEAD}content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n`],
    ['another transfer encoding', `${HEAD}transfer-encoding: gzip, chunked\r\n\r\n`],
    ['a length that is no number', `${HEAD}content-length: 0x10\r\n\r\n`],
    ['a folded header', `${HEAD}x: a\r\n content-length: 5\r\n\r\n`],
    ['a header without a colon', `${HEAD}nonsense\r\n\r\n`],
    ['something else than HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['another protocol', 'HTTP/1.1 101 Switching\r\n\r\n'],
    ['a chunk without a size', `${HEAD}transfer-encoding: chunked\r\n\r\nzz\r\n`],
    ['a chunk longer than it said', `${HEAD}transfer-encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n`],
    ['a head without end', `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(40_000)}`],
  ])('refuses %s', (_, text) => {
    expect(parse([text]).wrong).toBeDefined()
  })

  it('refuses bytes that nobody asked for', () => {
    expect(parse([`${HEAD}content-length: 1\r\n\r\na`, 'HTTP/1.1 200 OK\r\n\r\n']).wrong).toBeDefined()
  })

  it('takes a head and chunks cut anywhere', () => {
    expect(
      parse([
        HEAD.slice(0, 30),
        `${HEAD.slice(30)}transfer-encoding: chunked\r\n\r\n`,
        '3',
        '\r',
        '\nab',
        'c\r\n0\r\n\r\n',
      ]),
    ).toMatchObject({
      body: 'abc',
      ends: [true],
      wrong: undefined,
    })
  })

  it('comes to the same however the bytes are cut', () => {
    const bodies = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1 }), { maxLength: 5 })
    fc.assert(
      fc.property(bodies, fc.boolean(), fc.array(fc.nat(), { maxLength: 20 }), (parts, chunked, cuts) => {
        const body = parts.join('')
        const text = chunked
          ? `${HEAD}transfer-encoding: chunked\r\n\r\n${parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join('')}0\r\n\r\n`
          : `${HEAD}content-length: ${body.length}\r\n\r\n${body}`
        const places = [...new Set(cuts.map((cut) => cut % text.length))].sort((a, b) => a - b)
        const pieces = [0, ...places].map((from, index) => text.slice(from, places[index] ?? text.length))
        expect(parse(pieces)).toMatchObject({ body, ends: [true], wrong: undefined })
      }),
      { numRuns: 500 },
    )
  })
})
