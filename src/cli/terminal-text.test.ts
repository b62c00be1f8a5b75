import fc from 'fast-check'
import { expect, it } from 'vitest'
import { terminalText } from './terminal-text.ts'

it('leaves text as it is, with its lines and tabs', () => {
  expect(terminalText('Gleis 3 é 轨道 🚂\n\tnext\r\nlast')).toBe('Gleis 3 é 轨道 🚂\n\tnext\nlast')
})

it('takes out colours, titles, clipboards and what overwrites a line', () => {
  expect(terminalText('\u001b[31mred\u001b[0m')).toBe('red')
  expect(terminalText('a\u001b]52;c;cm0gLXJm\u0007b\u001b]0;title\u001b\\c')).toBe('abc')
  expect(terminalText('all is well\rrm -rf')).toBe('all is wellrm -rf')
})

it('lets no control character through, however they are put together', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('\u001b', '[', ']', '\u0007', '\u009b', '3', 'm', '\r', 'x')),
      (parts) => {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: that none is left is the point
        expect(terminalText(parts.join(''))).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
      },
    ),
  )
})
