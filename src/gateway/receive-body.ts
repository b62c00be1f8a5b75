import type { IncomingMessage } from 'node:http'

/**
 * Reads a request's body whole and calls `done` once; with `too_large` as soon as it is more than `maxBytes`,
 * after which the rest is dropped. Not called when the client leaves before the end. `grew` is told of each chunk.
 *
 * Takes the chunks where Node's parser hands them over, before the stream that they would go through: all of a body
 * is wanted at once, so a stream's buffers, events and ticks would be work for nothing. To be called in the tick in
 * which the request arrived.
 */
export function receiveBody(
  request: IncomingMessage,
  maxBytes: number,
  done: (body: Buffer | 'too_large') => void,
  grew: (bytes: number) => void,
): void {
  let first: Buffer | undefined
  let more: Buffer[] | undefined
  let length = 0
  // Let go of when called: Node keeps the request until the next one comes on its connection.
  let finish: typeof done | undefined = done
  const end = (body: Buffer | 'too_large'): void => {
    const call = finish
    finish = undefined
    first = undefined
    more = undefined
    call?.(body)
  }
  request.push = (chunk: Buffer | null): boolean => {
    if (finish === undefined) return true
    if (chunk === null) {
      end(more === undefined ? (first ?? Buffer.alloc(0)) : Buffer.concat(more, length))
      return true
    }
    length += chunk.length
    grew(chunk.length)
    if (length > maxBytes) end('too_large')
    else if (first === undefined) first = chunk
    else if (more === undefined) more = [first, chunk]
    else more.push(chunk)
    return true
  }
}
