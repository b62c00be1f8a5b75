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

it('finds a flag of an engine', () => {
  const flags = ['max-model-len', 'max-num-seqs', 'gpu-memory-utilization', 'dtype']
  expect(nearest('max-modle-len', flags)).toBe('max-model-len')
  expect(nearest('dtpye', flags)).toBe('dtype')
  expect(nearest('gpu-mem-utilization', flags)).toBe('gpu-memory-utilization')
  expect(nearest('utilization', flags)).toBe('gpu-memory-utilization')
  expect(nearest('zzzzzzzz', flags)).toBeUndefined()
  expect(nearest('', flags)).toBeUndefined()
})
