import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { errorAnswer } from './answer-headers.ts'
import { type GatewayError, gatewayErrors } from './gateway-error.ts'

/** Answers what Node could not read as HTTP, in the envelope that clients of the API expect, and hangs up. */
export function answerClientError(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  more: {
    readonly requestId: string
    /** An answer to an earlier request is on its way over this connection; nothing may be written into it. */
    readonly isAnswering: boolean
  },
): void {
  if (error.code === 'ECONNRESET' || !socket.writable || more.isAnswering) {
    socket.destroy()
    return
  }
  const answer = answerTo(error.code)
  const { headers, text } = errorAnswer(answer, {
    requestId: more.requestId,
    source: 'gateway',
    closing: true,
  })
  let head = `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}\r\n`
  for (let at = 0; at + 1 < headers.length; at += 2) head += `${headers[at]}: ${headers[at + 1]}\r\n`
  socket.end(`${head}content-length: ${text.length}\r\n\r\n${text}`, 'latin1')
}

function answerTo(code: string | undefined): GatewayError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return gatewayErrors.malformed(431, 'headers_too_large', 'the headers are too large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return gatewayErrors.malformed(408, 'request_timeout', 'the request did not arrive in time')
    default:
      return gatewayErrors.malformed(400, 'malformed_http', 'this is not a well-formed HTTP/1.1 request')
  }
}
