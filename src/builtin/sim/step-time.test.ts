import { describe, expect, it } from 'vitest'
import { MOCKER, profileByName, type StepLoad } from './step-time.ts'

function load(fields: Partial<StepLoad>): StepLoad {
  return { prefillTokens: 0, decodeSequences: 0, activeKv: 0, batchFill: 0, ...fields }
}

describe('step times', () => {
  it('follow the polynomials of the mocker, prefill and decode added', () => {
    expect(MOCKER.stepMs(load({ prefillTokens: 8192 }))).toBeCloseTo(169.14, 1)
    expect(MOCKER.stepMs(load({ decodeSequences: 1 }))).toBeCloseTo(5.74, 5)
    expect(MOCKER.stepMs(load({ decodeSequences: 200, activeKv: 1 }))).toBeCloseTo(34.01, 5)
    expect(MOCKER.stepMs(load({ decodeSequences: 1, prefillTokens: 1 }))).toBeCloseTo(16.5166 + 5.74, 3)
  })

  it('grow with the batch on a device profile', () => {
    const stepMs = profileByName('8b-h100')?.stepMs
    expect(stepMs?.(load({ decodeSequences: 1 }))).toBe(12)
    expect(stepMs?.(load({ decodeSequences: 256, batchFill: 1 }))).toBe(24)
    expect(stepMs?.(load({ prefillTokens: 100 }))).toBe(55)
  })

  it('stand still when constant, fractions included', () => {
    expect(profileByName('constant:0.75')?.stepMs(load({ prefillTokens: 8000 }))).toBe(0.75)
  })

  it('exist for known names only', () => {
    for (const name of ['h900', 'constant:', 'constant:0', 'constant:-3', ''])
      expect(profileByName(name), name).toBeUndefined()
  })
})
