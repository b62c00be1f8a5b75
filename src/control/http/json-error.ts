/** Where a text stops being JSON: an offset of 0 … its length; undefined when it is JSON. One pass, no recursion. */
export function jsonErrorOffset(text: string): number | undefined {
  const open: ('{' | '[')[] = []
  let expected: 'value' | 'value_or_end' | 'key' | 'key_or_end' | 'colon' | 'comma_or_end' | 'nothing' =
    'value'
  let at = skipSpace(text, 0)
  const close = () => {
    open.pop()
    expected = open.length === 0 ? 'nothing' : 'comma_or_end'
  }
  while (at < text.length) {
    const char = text[at]
    const top = open.at(-1)
    let next = at + 1
    if (expected === 'colon' && char === ':') expected = 'value'
    else if (expected === 'comma_or_end' && char === ',') expected = top === '{' ? 'key' : 'value'
    else if (char === '}' && top === '{' && (expected === 'key_or_end' || expected === 'comma_or_end'))
      close()
    else if (char === ']' && top === '[' && (expected === 'value_or_end' || expected === 'comma_or_end'))
      close()
    else if (expected === 'key' || expected === 'key_or_end') {
      next = endOf(STRING, text, at)
      if (next < 0) return at
      expected = 'colon'
    } else if (expected === 'value' || expected === 'value_or_end') {
      if (char === '{' || char === '[') {
        open.push(char)
        expected = char === '{' ? 'key_or_end' : 'value_or_end'
      } else {
        next = endOf(SCALAR, text, at)
        if (next < 0) return at
        expected = open.length === 0 ? 'nothing' : 'comma_or_end'
      }
    } else return at
    at = skipSpace(text, next)
  }
  return expected === 'nothing' ? undefined : text.length
}

/** `line 2, column 7` of an offset; both count from 1. */
export function positionText(text: string, offset: number): string {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  return `line ${line}, column ${offset - before.lastIndexOf('\n')}`
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: JSON forbids exactly these in strings.
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y
const SCALAR = new RegExp(
  `${STRING.source}|-?(?:0|[1-9][0-9]*)(?:\\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null`,
  'y',
)

function endOf(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at
  return pattern.test(text) ? pattern.lastIndex : -1
}

function skipSpace(text: string, at: number): number {
  let next = at
  while (next < text.length && ' \t\n\r'.includes(text.charAt(next))) next++
  return next
}
