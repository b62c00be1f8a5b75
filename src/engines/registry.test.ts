import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EngineName } from '../domain/engine-name.ts'
import { EngineArgs } from '../domain/model.ts'
import { DENIED_FLAGS } from './denied-flags.ts'
import type { Launch } from './engine.ts'
import { CPU, CREDENTIAL, GIB, gpu, launchOf } from './launch.testing.ts'
import { ENGINES, engineOf } from './registry.ts'

const every = EngineName.options.map((name) => [name, engineOf(name)] as const)

test('every engine stands under its name', () => {
  expect(Object.keys(ENGINES).sort()).toEqual([...EngineName.options].sort())
  for (const [name, engine] of every) expect(engine.name).toBe(name)
})

describe('an engine that we start', () => {
  for (const [name, engine] of every.filter(([, each]) => each.managed)) {
    test(`${name} ends with SIGKILL, and each step has a bound`, () => {
      expect(engine.stop.at(-1)?.signal).toBe('SIGKILL')
      expect(engine.stop.slice(0, -1).every((step) => step.signal !== 'SIGKILL')).toBe(true)
      expect(engine.stop.every((step) => step.waitMs > 0 && step.waitMs <= 60_000)).toBe(true)
    })

    test(`${name} is asked with a deadline`, () => {
      const calls = [
        engine.readiness,
        engine.liveness,
        engine.metrics,
        engine.version?.call,
        engine.fallbackProbe,
      ]
      for (const call of calls) {
        if (call)
          expect(call).toMatchObject({ path: expect.stringMatching(/^\//), timeoutMs: expect.any(Number) })
      }
      expect(engine.liveness.everyMs).toBeGreaterThanOrEqual(1000)
    })
  }
})

const dashed = fc.constantFrom(
  '--trust-remote-code',
  '--api-key=x',
  '-h',
  '--',
  'a --host=0.0.0.0',
  '0.0.0.0',
  '1',
)
const args = fc.dictionary(
  fc.oneof(
    fc.constantFrom(...Object.keys(DENIED_FLAGS)),
    fc.constantFrom(
      'dtype',
      'threads',
      'seed',
      'chat-template',
      'tokenizer',
      'enforce-eager',
      'mode',
      'mmproj',
    ),
    fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,12}$/),
  ),
  fc.oneof(dashed, fc.string({ maxLength: 30 }), fc.boolean(), fc.integer(), fc.double({ noNaN: true })),
  { maxKeys: 6 },
)

const launches: fc.Arbitrary<Launch> = fc
  .record({
    devices: fc.constantFrom([], [CPU], [gpu(0)], [gpu(0, { index: 0 }), gpu(1, { index: 1 })]),
    bytesPerDevice: fc.integer({ min: 0, max: 90 }).map((gib) => gib * GIB),
    contextTokens: fc.option(fc.integer({ min: 16, max: 1e6 }), { nil: undefined }),
    maxConcurrency: fc.option(fc.integer({ min: 1, max: 65_536 }), { nil: undefined }),
    embeddings: fc.boolean(),
    modelRef: fc.constantFrom('/models/a b', '/models/x.gguf', 'org/name'),
    adapters: fc.constantFrom([], [{ name: 'fr', path: '/l/--fr=x,y"' }]),
    engineArgs: args,
  })
  .map(({ contextTokens, maxConcurrency, ...fields }) =>
    launchOf({
      ...fields,
      ...(contextTokens !== undefined && { contextTokens }),
      ...(maxConcurrency !== undefined && { maxConcurrency }),
    }),
  )

/** What we write ourselves, so that it may stand once. */
const OURS = /^--(host|port|served-model-name|alias|model|model-path|hf-repo|api-key)(=|$)/
const DENIED = new Set(Object.keys(DENIED_FLAGS).map((flag) => `--${flag}`))

describe('a command line, whatever the arguments were', () => {
  for (const [name, engine] of every.filter(([, each]) => each.managed)) {
    test(`of ${name} holds no credential, no denied flag, and each of our own once`, () => {
      fc.assert(
        fc.property(launches, (launch) => {
          const { argv, env } = engine.command(launch)
          expect(argv.join('\n')).not.toContain(CREDENTIAL)
          const words = argv.map((word) => word.split('=', 1)[0] ?? '')
          const ours = words.filter((word) => OURS.test(word))
          expect(new Set(ours).size, ours.join(' ')).toBe(ours.length)
          for (const word of words.filter((each) => !OURS.test(each)))
            expect(DENIED.has(word), word).toBe(false)
          expect(argv.every((word) => !word.includes('\0') && !word.includes('\n'))).toBe(true)
          expect(Object.values(env)).toContain(CREDENTIAL)
        }),
      )
    })

    test(`of ${name} has an environment without what loads foreign code`, () => {
      fc.assert(
        fc.property(launches, (launch) => {
          for (const key of Object.keys(engine.command(launch).env)) {
            expect(key).not.toMatch(/^(LD_|DYLD_|PYTHON|NODE_OPTIONS|VLLM_SERVER_DEV_MODE|PATH$)/)
          }
        }),
      )
    })
  }

  test('may be asked for by names that the schema takes', () => {
    expect(EngineArgs.safeParse({ '--port': 1 }).success).toBe(false)
    expect(EngineArgs.safeParse({ 'port=1 --x': 1 }).success).toBe(false)
  })
})
