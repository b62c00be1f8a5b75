const GIVEN = /^[A-Za-z0-9._-]{8,64}$/

/** The caller's `x-request-id` when it is one that may stand in logs and headers, else a new one. */
export function requestIdOf(headers: Headers, randomBytes: (size: number) => Uint8Array): string {
  const given = headers.get('x-request-id')
  return given !== null && GIVEN.test(given) ? given : `req-${Buffer.from(randomBytes(12)).toString('hex')}`
}
