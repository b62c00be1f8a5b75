import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonicalJson, sameJson } from './canonical-json.ts'

it('does not depend on the order in which fields were set, at any depth', () => {
  expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: 'x' })).toBe('{"a":"x","b":[{"c":2,"d":1}]}')
  expect(sameJson({ a: 1, b: { c: 2, d: 3 } }, { b: { d: 3, c: 2 }, a: 1 })).toBe(true)
})

it('treats a field that is undefined like one that is absent', () => {
  expect(sameJson({ a: 1, b: undefined }, { a: 1 })).toBe(true)
  expect(sameJson(undefined, undefined)).toBe(true)
  expect(sameJson(undefined, { a: 1 })).toBe(false)
})

it('keeps the order of arrays', () => {
  expect(sameJson([1, 2], [2, 1])).toBe(false)
})

it('writes JSON that parses to the same value', () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
    }),
  )
})
