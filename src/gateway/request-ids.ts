import type { Random } from '../base/random.ts'

/** A request id of our own: `req_` and 24 hex digits. Not a secret. */
export function newRequestId(random: Random): string {
  return `req_${hex32(random)}${hex32(random)}${hex32(random)}`
}

/** A W3C trace context for a request that brought none, not sampled. */
export function newTraceparent(random: Random): string {
  // The high bit keeps both ids from being all zeros, which the format forbids.
  return `00-8${hex32(random).slice(1)}${hex32(random)}${hex32(random)}${hex32(random)}-8${hex32(random).slice(1)}${hex32(random)}-00`
}

function hex32(random: Random): string {
  // With a leading one the number always has nine digits.
  return (0x1_0000_0000 + Math.floor(random() * 0x1_0000_0000)).toString(16).slice(1)
}
