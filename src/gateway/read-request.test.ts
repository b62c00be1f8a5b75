import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readRequest, withModel } from './read-request.ts'

const read = (text: string) => readRequest(Buffer.from(text))

describe('reading a request body', () => {
  it('finds its fields between any others', () => {
    const facts = read(
      '{"messages":[{"role":"user","content":"\\"model\\": \\"no\\" }]"}],"n":2,"stream_options":{"x":{"include_usage":false},"include_usage":true},"model":"tiny","stream":true,"max_tokens":5,"max_completion_tokens":7,"user":"Zoë"}',
    )
    expect(facts).toMatchObject({
      kind: 'read',
      model: 'tiny',
      stream: true,
      includeUsage: true,
      choices: 2,
      maxTokens: 7,
      user: 'Zoë',
    })
  })

  it('understands names and values written with escapes', () => {
    expect(read('{"m\\u006fdel":"ti\\u006ey\\n"}')).toMatchObject({ model: 'tiny\n' })
  })

  it('refuses a field given twice, since engines differ on which of them counts', () => {
    expect(read('{"model":"mine","m\\u006fdel":"theirs"}')).toMatchObject({
      kind: 'unreadable',
      reason: 'invalid_value',
      param: 'model',
    })
  })

  it.each([
    ['', 'invalid_json'],
    ['[]', 'invalid_json'],
    ['"model"', 'invalid_json'],
    ['{"model":"a"', 'invalid_json'],
    ['{"model":"a"}}', 'invalid_json'],
    ['{"model":"a",}', 'invalid_json'],
    ['{"model" "a"}', 'invalid_json'],
    ['{"model":"a}', 'invalid_json'],
    ['{"model":"a","x":[1,2}]}', 'invalid_json'],
    ['{"model":"a","x":tru}', 'invalid_json'],
    ['{"model":"a","x":01}', 'invalid_json'],
    ['{"model":"a","x":1.}', 'invalid_json'],
    ['{"model":"a","x":.5}', 'invalid_json'],
    ['{"model":"a","x":-}', 'invalid_json'],
    ['{"model":"a","x":1e}', 'invalid_json'],
    ['{"model":"a","x":truely}', 'invalid_json'],
    ['{"model":"a","x":}', 'invalid_json'],
    ['{"model":"a","x":"\\\\\\"}', 'invalid_json'],
    ['\ufeff{"model":"a"}', 'invalid_json'],
    [`{"model":"a","x":${'['.repeat(600)}${']'.repeat(600)}}`, 'invalid_json'],
    ['{}', 'missing_field'],
    ['{"model":null}', 'invalid_value'],
    ['{"model":""}', 'invalid_value'],
    ['{"model":"a","stream":"true"}', 'invalid_value'],
    ['{"model":"a","stream_options":[]}', 'invalid_value'],
    ['{"model":"a","stream_options":{"include_usage":1}}', 'invalid_value'],
  ])('refuses %s', (text, reason) => {
    expect(read(text)).toMatchObject({ kind: 'unreadable', reason })
  })

  it('walks a prompt of megabytes with escaped quotes', () => {
    const content = `${'x'.repeat(100_000)}\\"\\\\`.repeat(20)
    expect(read(`{"messages":[{"content":"${content}"}],"model":"tiny"}`)).toMatchObject({ model: 'tiny' })
  })

  it('walks text full of escaped quotes and backslashes', () => {
    for (const piece of ['\\"', '\\\\', '\\\\\\"', 'x\\"y\\\\']) {
      expect(read(`{"x":"${piece.repeat(3_000)}","model":"tiny"}`)).toMatchObject({ model: 'tiny' })
    }
  })

  it('agrees with JSON.parse on every number', () => {
    const digits = fc.array(fc.constantFrom('0', '1', '9', '.', '-', '+', 'e', 'E'), { maxLength: 8 })
    fc.assert(
      fc.property(digits, (parts) => {
        const text = `{"model":"a","x":${parts.join('')}}`
        let isJson = true
        try {
          JSON.parse(text)
        } catch {
          isJson = false
        }
        expect(read(text).kind === 'read').toBe(isJson)
      }),
      { numRuns: 2000 },
    )
  })

  it('agrees with JSON.parse on every object', () => {
    const wanted = fc.record(
      {
        model: fc.string({ unit: 'grapheme', minLength: 1 }),
        stream: fc.oneof(fc.boolean(), fc.constant(null)),
        stream_options: fc.record({ include_usage: fc.boolean(), other: fc.json() }, { requiredKeys: [] }),
        max_tokens: fc.nat(),
        n: fc.integer({ min: 1, max: 9 }),
        user: fc.string({ unit: 'binary' }),
      },
      { requiredKeys: ['model'] },
    )
    const others = fc.dictionary(
      fc.string({ unit: 'grapheme' }).filter((key) => !OWN.has(key)),
      fc.jsonValue(),
    )
    fc.assert(
      fc.property(wanted, others, fc.nat(), fc.integer({ min: 0, max: 3 }), (own, rest, order, indent) => {
        const entries = Object.entries({ ...rest, ...own })
        entries.push(...entries.splice(0, order % (entries.length || 1)))
        const value = Object.fromEntries(entries)
        const facts = read(JSON.stringify(value, undefined, indent))
        expect(facts).toMatchObject({
          kind: 'read',
          model: own.model,
          stream: own.stream ?? false,
          includeUsage: own.stream_options?.include_usage ?? false,
          choices: own.n ?? 1,
        })
        if (facts.kind === 'read') {
          expect(facts.maxTokens).toBe(own.max_tokens)
          expect(facts.user).toBe(own.user === undefined ? undefined : Buffer.from(own.user).toString())
        }
      }),
      { numRuns: 200 },
    )
  })

  it('never finds a model where JSON.parse finds an object without that model', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      ':',
      ',',
      '"model"',
      '"a"',
      '1',
      'null',
      ' ',
      '"x"',
    )
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 14 }), (parts) => {
        const text = parts.join('')
        let parsed: unknown
        try {
          parsed = JSON.parse(text)
        } catch {
          return
        }
        const facts = read(text)
        if (facts.kind === 'read') expect((parsed as { model: unknown }).model).toBe(facts.model)
        else
          expect(
            facts.reason === 'invalid_json' &&
              typeof parsed === 'object' &&
              parsed !== null &&
              !Array.isArray(parsed),
          ).toBe(false)
      }),
      { numRuns: 3000 },
    )
  })

  it('puts another model name in and leaves every other byte', () => {
    const text = '{ "temperature" : 1.0e0, "model" : "a\\"b" ,"x":"é" }'
    const facts = read(text)
    if (facts.kind !== 'read') throw new Error('not read')
    expect(withModel(Buffer.from(text), facts.modelRange, 'org/"big"').toString()).toBe(
      '{ "temperature" : 1.0e0, "model" : "org/\\"big\\"" ,"x":"é" }',
    )
  })
})

const OWN = new Set([
  'model',
  'stream',
  'stream_options',
  'max_tokens',
  'max_completion_tokens',
  'n',
  'user',
  '__proto__',
])
