import { expect, it } from 'vitest'
import { nearest } from './nearest.ts'

it('finds what was meant by a typing error', () => {
  expect(nearest('replcas', ['replicas', 'resources'])).toBe('replicas')
  expect(nearest('nmae', ['name', 'source'])).toBe('name')
  expect(nearest('contexttokens', ['contextTokens', 'command'])).toBe('contextTokens')
})

it('finds nothing when nothing is near', () => {
  expect(nearest('gpus', ['replicas', 'source'])).toBeUndefined()
  expect(nearest('ab', ['xy'])).toBeUndefined()
  expect(nearest('x'.repeat(1_000_000), ['source'])).toBeUndefined()
  expect(nearest('a', [])).toBeUndefined()
})
