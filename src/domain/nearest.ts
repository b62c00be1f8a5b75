/**
 * The candidate that `text` was most likely meant to be, or undefined when none is near: edits of up to a third of
 * the letters, ignoring case, else one that `text` (of four letters or more) is a part of. For "did you mean".
 */
export function nearest(text: string, candidates: readonly string[]): string | undefined {
  const wanted = text.toLowerCase()
  let best: { candidate: string; edits: number } | undefined
  for (const candidate of candidates) {
    const edits = editsBetween(wanted, candidate.toLowerCase())
    const allowed = Math.floor(Math.max(wanted.length, candidate.length) / 3)
    if (edits <= allowed && (best === undefined || edits < best.edits)) best = { candidate, edits }
  }
  if (best !== undefined || wanted.length < 4) return best?.candidate
  return candidates.find((candidate) => candidate.toLowerCase().includes(wanted))
}

/** Insertions, deletions, replacements and swaps of neighbours that it takes; texts over 64 letters count as far. */
function editsBetween(left: string, right: string): number {
  if (left === right) return 0
  if (left.length > 64 || right.length > 64) return Number.POSITIVE_INFINITY
  const rows: number[][] = [Array.from({ length: right.length + 1 }, (_, column) => column)]
  const at = (row: number, column: number) => rows[row]?.[column] ?? Number.POSITIVE_INFINITY
  for (let row = 1; row <= left.length; row++) {
    const current = [row]
    rows.push(current)
    for (let column = 1; column <= right.length; column++) {
      const same = left[row - 1] === right[column - 1]
      const swapped = left[row - 1] === right[column - 2] && left[row - 2] === right[column - 1]
      current[column] = Math.min(
        at(row, column - 1) + 1,
        at(row - 1, column) + 1,
        at(row - 1, column - 1) + (same ? 0 : 1),
        swapped ? at(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY,
      )
    }
  }
  return at(left.length, right.length)
}
