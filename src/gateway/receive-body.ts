import type { IncomingMessage } from 'node:http'

/**
 * Reads a request's body whole and calls `done` once; with `too_large` as soon as it is more than `maxBytes`,
 * after which the rest is dropped. Not called when the client leaves before the end.
 */
export function receiveBody(
  request: IncomingMessage,
  maxBytes: number,
  done: (body: Buffer | 'too_large') => void,
): void {
  let first: Buffer | undefined
  let more: Buffer[] | undefined
  let length = 0
  let over = false
  request.on('data', (chunk: Buffer) => {
    if (over) return
    length += chunk.length
    if (length > maxBytes) {
      over = true
      first = undefined
      more = undefined
      done('too_large')
    } else if (first === undefined) first = chunk
    else if (more === undefined) more = [first, chunk]
    else more.push(chunk)
  })
  request.on('end', () => {
    if (over) return
    over = true
    done(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more, length))
  })
}
