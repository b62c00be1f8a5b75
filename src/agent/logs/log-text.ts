/** Longest line that is looked at; a longer one is cut. */
const MAX_LINE_CHARS = 4_096

/**
 * Splits text into lines as a terminal would show them: a carriage return begins a line anew (progress bars), colours
 * and other control sequences are dropped. `rest` is what has no end yet.
 */
export function splitLines(text: string): { readonly lines: readonly string[]; readonly rest: string } {
  const parts = text.split(/\r\n|\n|\r/)
  const rest = parts.pop() ?? ''
  return {
    lines: parts.filter((part) => part !== '').map(plainLine),
    rest: rest.slice(-MAX_LINE_CHARS),
  }
}

/** A line without control characters, cut to a bounded length. */
export function plainLine(line: string): string {
  return (
    line
      .slice(0, MAX_LINE_CHARS)
      // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
      .replace(/\u001b\[[0-9;?]{0,20}[ -/]{0,5}[@-~]|\u001b\][^\u0007]{0,200}\u0007/g, '')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
  )
}

/** Where in `bytes` its last `lines` lines begin. */
export function startOfLastLines(bytes: Uint8Array, lines: number): number {
  if (lines <= 0) return bytes.length
  let left = lines
  const last = bytes.at(-1) === NEWLINE ? bytes.length - 2 : bytes.length - 1
  for (let at = last; at >= 0; at--) {
    if (bytes[at] === NEWLINE && --left === 0) return at + 1
  }
  return 0
}

/** How many lines end in `bytes`. */
export function countLineEnds(bytes: Uint8Array): number {
  let lines = 0
  for (const byte of bytes) if (byte === NEWLINE) lines++
  return lines
}

const NEWLINE = 10
