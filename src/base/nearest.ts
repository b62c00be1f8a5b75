/**
 * The candidate that `text` was most likely meant to be, or undefined when none is near: at most two edits, and
 * no more than a third of the letters, ignoring case. For "did you mean".
 */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const wanted = text.toLowerCase()
  let best: { candidate: string; edits: number } | undefined
  for (const candidate of candidates) {
    const edits = editsBetween(wanted, candidate.toLowerCase())
    const allowed = Math.min(2, Math.floor(Math.max(wanted.length, candidate.length) / 3))
    if (edits <= allowed && (best === undefined || edits < best.edits)) best = { candidate, edits }
  }
  return best?.candidate
}

/** Levenshtein's distance; texts over 64 letters count as far. */
function editsBetween(left: string, right: string): number {
  if (left === right) return 0
  if (left.length > 64 || right.length > 64) return Number.POSITIVE_INFINITY
  let above = Array.from({ length: right.length + 1 }, (_, column) => column)
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    for (let column = 1; column <= right.length; column++) {
      const swap = left[row - 1] === right[column - 1] ? 0 : 1
      current[column] = Math.min(
        (current[column - 1] ?? 0) + 1,
        (above[column] ?? 0) + 1,
        (above[column - 1] ?? 0) + swap,
      )
    }
    above = current
  }
  return above[right.length] ?? 0
}
