import fc from 'fast-check'
import { expect, it } from 'vitest'
import { jsonErrorOffset, positionText } from './json-error.ts'

it('agrees with JSON.parse on what is JSON', () => {
  const mutated = fc
    .tuple(fc.json(), fc.nat(), fc.constantFrom('', '{', '}', ']', ',', ':', '"', '\\', '0', '-', 'x', '\n'))
    .map(([text, at, char]) => {
      const place = at % (text.length + 1)
      return text.slice(0, place) + char + text.slice(place + (at % 2))
    })
  fc.assert(
    fc.property(mutated, (text) => {
      expect(jsonErrorOffset(text) === undefined).toBe(isJson(text))
    }),
    { numRuns: 2_000 },
  )
})

it('tells where it stops being JSON', () => {
  const text = '{\n  "name": "a",\n  "replicas": two\n}'
  const offset = jsonErrorOffset(text)!
  expect(text.slice(offset)).toMatch(/^two/)
  expect(positionText(text, offset)).toBe('line 3, column 15')
  expect(jsonErrorOffset('{"a":1')).toBe(6)
  expect(jsonErrorOffset('')).toBe(0)
  expect(jsonErrorOffset('[1,]')).toBe(3)
})

it('reads text of any depth', () => {
  expect(jsonErrorOffset('['.repeat(400_000))).toBe(400_000)
})

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
