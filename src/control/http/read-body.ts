import type { Clock } from '../../base/clock.ts'
import { YardError } from '../../base/errors.ts'
import { within } from '../../base/within.ts'

/** Most bytes of a request's body. */
export const BODY_MAX_BYTES = 1_048_576
/** How long a body may take to arrive. */
export const BODY_WITHIN_MS = 30_000

/** The body as text. Faults: `too_large`, `timed_out`, `invalid_request` (not JSON by its type, not UTF-8). */
export async function readBody(request: Request, clock: Clock): Promise<string> {
  const type = request.headers.get('content-type')?.split(';')[0]?.trim().toLowerCase()
  // Browsers send a form or text/plain to other sites without asking them; never JSON.
  if (type !== 'application/json') {
    throw new YardError('invalid_request', `the body must be JSON, not ${type ?? 'of no type'}`, {
      reason: 'content_type',
      hint: 'send the header content-type: application/json',
    })
  }
  const announced = Number(request.headers.get('content-length') ?? 0)
  if (announced > BODY_MAX_BYTES) throw tooLarge()
  if (request.body === null) return ''
  const reader = request.body.getReader()
  const chunks: Uint8Array[] = []
  const readAll = async () => {
    let bytes = 0
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      bytes += part.value.byteLength
      if (bytes > BODY_MAX_BYTES) throw tooLarge()
      chunks.push(part.value)
    }
  }
  try {
    await within(clock, BODY_WITHIN_MS, readAll(), 'the body did not arrive')
  } catch (error) {
    reader.cancel().catch(() => {})
    throw error
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks))
  } catch {
    throw new YardError('invalid_json', 'the body is not UTF-8 text')
  }
}

function tooLarge(): YardError {
  return new YardError('too_large', `the body is larger than ${BODY_MAX_BYTES} bytes`)
}
