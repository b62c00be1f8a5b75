import { expect, test } from 'vitest'
import { nearest } from './nearest.ts'

const KNOWN = ['max-model-len', 'max-num-seqs', 'gpu-memory-utilization', 'dtype']

test('a misspelt word finds the one that was meant', () => {
  expect(nearest('max-modle-len', KNOWN)).toBe('max-model-len')
  expect(nearest('dtpye', KNOWN)).toBe('dtype')
  expect(nearest('gpu-mem-utilization', KNOWN)).toBe('gpu-memory-utilization')
})

test('a part of a longer word finds it', () => {
  expect(nearest('utilization', KNOWN)).toBe('gpu-memory-utilization')
})

test('a word like none of them finds none', () => {
  expect(nearest('zzzzzzzz', KNOWN)).toBeUndefined()
  expect(nearest('', KNOWN)).toBeUndefined()
})
