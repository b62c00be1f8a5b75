import { describe, expect, it } from 'vitest'
import type { SourceReport } from '../domain/facts.ts'
import {
  factsOf,
  type InspectedSource,
  LOOK_WAIT_MS,
  lookingUntilMs,
  sourcesOn,
  whyBlocked,
} from './source-standing.ts'

const FOUND: SourceReport = { kind: 'found' }
const MISSING: SourceReport = { kind: 'missing', message: 'no such file' }
const INVALID: SourceReport = { kind: 'invalid', reason: 'bad_magic', message: 'not a GGUF file' }
const KNOWN = {
  kind: 'footprint',
  footprint: { deviceKinds: [], devices: 0, bytesPerDevice: 0, hostMemoryBytes: 0, parts: [] },
} as const

describe('whyBlocked', () => {
  it('finds nothing in the way when one node that reports has every source', () => {
    expect(blocked([aSource({ a: FOUND, b: MISSING })], ['a', 'b'])).toBeUndefined()
    expect(blocked([], [])).toBeUndefined()
  })

  it('waits, not for good, while a node has yet to look', () => {
    expect(blocked([aSource({ a: MISSING })], ['a', 'b'])).toMatchObject({
      reason: 'inspecting',
      message: 'waiting for b to look at file:/m.gguf',
      final: false,
    })
  })

  it('is final when all have looked and none has it', () => {
    expect(blocked([aSource({ a: MISSING, b: MISSING })], ['a', 'b'])).toMatchObject({
      reason: 'source_missing',
      final: true,
    })
  })

  it('tells what is wrong with the file before it tells where the file is not', () => {
    const why = blocked([aSource({ a: MISSING, b: INVALID })], ['a', 'b'])
    expect(why).toMatchObject({ reason: 'source_invalid', final: true })
    expect(why?.message).toBe('file:/m.gguf on b: not a GGUF file')
  })

  it('does not count what a node said that reports no more', () => {
    expect(blocked([aSource({ gone: FOUND, a: MISSING })], ['a'])?.reason).toBe('source_missing')
  })

  it('is not misled by a node with the name of something that every object has', () => {
    expect(blocked([aSource({})], ['constructor'])?.reason).toBe('inspecting')
  })

  it('asks for a node when there is none, unless the source is known already', () => {
    expect(blocked([aSource({})], [])).toMatchObject({ reason: 'no_node', final: false })
    expect(blocked([aSource({ gone: FOUND })], [])).toBeUndefined()
  })

  it('looks at adapters like at the model', () => {
    const adapter = { source: 'file:/lora.gguf', reports: { a: MISSING } }
    expect(blocked([aSource({ a: FOUND }), adapter], ['a'])?.message).toContain('file:/lora.gguf')
  })

  it('is final when the need can not be known', () => {
    const estimate = { kind: 'unknown', reason: 'not_stated', message: 'state --memory' } as const
    expect(whyBlocked({ sources: [], readyNodes: ['a'], estimate })).toEqual({
      reason: 'footprint_unknown',
      message: 'state --memory',
      final: true,
    })
  })
})

describe('whyBlocked by what was found', () => {
  it('tells an adapter that is no model as an unusable source, not as a size to be stated', () => {
    const estimate = { kind: 'unknown', reason: 'not_a_model', message: 'an adapter' } as const
    expect(whyBlocked({ sources: [aSource({ a: FOUND })], readyNodes: ['a'], estimate })).toEqual({
      reason: 'source_invalid',
      message: 'an adapter',
      final: true,
    })
  })
})

describe('sourcesOn', () => {
  it('is found where all are found, missing where one is not usable, and silent elsewhere', () => {
    const on = sourcesOn([aSource({ a: FOUND, b: FOUND, c: INVALID }), aSource({ a: FOUND, c: FOUND })])
    expect(on).toEqual({ found: ['a'], missing: ['c'] })
  })

  it('lets any node do when nothing needs to be there', () => {
    expect(sourcesOn([])).toBeUndefined()
  })
})

describe('factsOf', () => {
  it('takes the first measurement, whichever node made it', () => {
    const facts = { format: 'gguf', weightBytes: 7 } as never
    expect(factsOf(aSource({ b: { kind: 'found', facts }, a: MISSING }))).toBe(facts)
    expect(factsOf(aSource({ a: FOUND }))).toBeUndefined()
  })
})

function aSource(reports: Record<string, SourceReport>): InspectedSource {
  return { source: 'file:/m.gguf', reports }
}

function blocked(sources: readonly InspectedSource[], readyNodes: readonly string[]) {
  return whyBlocked({ sources, readyNodes, estimate: KNOWN })
}

describe('lookingUntilMs', () => {
  it('waits for nodes that have yet to look, so that the first to answer does not get every replica', () => {
    expect(lookingUntilMs([aSource({ a: FOUND })], ['a', 'b'], 1_000, 1_500)).toBe(1_000 + LOOK_WAIT_MS)
  })

  it('waits no longer once all have looked, whatever they found', () => {
    expect(lookingUntilMs([aSource({ a: FOUND, b: MISSING })], ['a', 'b'], 1_000, 1_500)).toBeUndefined()
    expect(lookingUntilMs([], ['a'], 1_000, 1_500)).toBeUndefined()
  })

  it('does not wait for ever for a node that never answers', () => {
    expect(lookingUntilMs([aSource({ a: FOUND })], ['a', 'b'], 1_000, 1_000 + LOOK_WAIT_MS)).toBeUndefined()
  })
})
