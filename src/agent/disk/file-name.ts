import { createHash } from 'node:crypto'

/**
 * A file name for any text: itself when it is plain (lower case, digits, `.`, `_`, `-`, not too long, not beginning
 * with a dot), else `~` and its hash. No two texts share one, and none leads out of its directory.
 */
export function fileNameOf(text: string): string {
  if (/^[a-z0-9][a-z0-9._-]{0,99}$/.test(text)) return text
  return `~${createHash('sha256').update(text).digest('hex')}`
}
