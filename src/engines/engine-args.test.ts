import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { EngineArgs } from '../domain/model.ts'
import { DENIED_FLAGS, DENIED_PREFIXES } from './denied-flags.ts'
import { type EngineFlags, engineArgProblems, flagWords } from './engine-args.ts'
import { LLAMA_FLAGS, LLAMA_SERVER_FLAGS } from './llama-flags.ts'
import { SGLANG_FLAGS } from './sglang-flags.ts'
import { SIM_FLAGS } from './sim-flags.ts'
import { VLLM_FLAGS } from './vllm-flags.ts'

const ALL: readonly EngineFlags[] = [VLLM_FLAGS, SGLANG_FLAGS, LLAMA_SERVER_FLAGS, LLAMA_FLAGS, SIM_FLAGS]

describe('a well typed argument passes and becomes words', () => {
  const cases: readonly [EngineFlags, string, string | number | boolean, readonly string[]][] = [
    [VLLM_FLAGS, 'gpu-memory-utilization', 0.5, ['--gpu-memory-utilization=0.5']],
    [VLLM_FLAGS, 'gpu-memory-utilization', '0.5', ['--gpu-memory-utilization=0.5']],
    [VLLM_FLAGS, 'enforce-eager', true, ['--enforce-eager']],
    [VLLM_FLAGS, 'enable-prefix-caching', false, ['--no-enable-prefix-caching']],
    [VLLM_FLAGS, 'enable-prefix-caching', 'false', ['--no-enable-prefix-caching']],
    [VLLM_FLAGS, 'max-lora-rank', 64, ['--max-lora-rank=64']],
    [VLLM_FLAGS, 'tool-call-parser', 'hermes', ['--tool-call-parser=hermes']],
    [VLLM_FLAGS, 'hf-overrides', '{"a":1}', ['--hf-overrides={"a":1}']],
    [VLLM_FLAGS, 'tokenizer', 'Qwen/Qwen3-8B', ['--tokenizer=Qwen/Qwen3-8B']],
    [SGLANG_FLAGS, 'disable-radix-cache', true, ['--disable-radix-cache']],
    [SGLANG_FLAGS, 'disable-radix-cache', false, []],
    [SGLANG_FLAGS, 'chunked-prefill-size', -1, ['--chunked-prefill-size=-1']],
    [LLAMA_SERVER_FLAGS, 'cache-type-k', 'q8_0', ['--cache-type-k', 'q8_0']],
    [LLAMA_SERVER_FLAGS, 'n-gpu-layers', 'all', ['--n-gpu-layers', 'all']],
    [LLAMA_SERVER_FLAGS, 'tensor-split', '3,1', ['--tensor-split', '3,1']],
    [LLAMA_SERVER_FLAGS, 'mmproj', '/models/mm.gguf', ['--mmproj', '/models/mm.gguf']],
    [LLAMA_FLAGS, 'threads', 2, ['--threads=2']],
    [SIM_FLAGS, 'speed', 1000, ['--speed=1000']],
  ]
  for (const [flags, flag, value, words] of cases) {
    test(`${flags.engine} ${flag}=${value}`, () => {
      expect(engineArgProblems(flags, { [flag]: value })).toEqual([])
      expect(flagWords(flags, { [flag]: value })).toEqual(words)
    })
  }
})

describe('an argument is refused with its reason', () => {
  const cases: readonly [EngineFlags, string, string | number | boolean, RegExp][] = [
    [VLLM_FLAGS, 'gpu-memory-utilization', 1.5, /a number from 0.01 to 1, not "1.5"/],
    [VLLM_FLAGS, 'gpu-memory-utilization', 'much', /a number from 0.01 to 1/],
    [VLLM_FLAGS, 'tensor-parallel-size', 2.5, /a whole number from 1 to 64/],
    [VLLM_FLAGS, 'tensor-parallel-size', true, /a whole number/],
    [VLLM_FLAGS, 'max-lora-rank', 24, /one of 8, 16, 32, 64/],
    [VLLM_FLAGS, 'enforce-eager', 'yes', /true or false/],
    [VLLM_FLAGS, 'dtype', 'int3', /one of auto, half/],
    [VLLM_FLAGS, 'hf-overrides', '[1]', /one JSON object/],
    [VLLM_FLAGS, 'hf-overrides', '{"a":', /one JSON object/],
    [VLLM_FLAGS, 'tool-call-parser', '--trust-remote-code', /like a word/],
    [VLLM_FLAGS, 'tool-call-parser', 'a b', /like a word/],
    [VLLM_FLAGS, 'chat-template', 'one\ntwo', /like a template/],
    [VLLM_FLAGS, 'gpu-memory-utilisation', 0.5, /did you mean --gpu-memory-utilization\?/],
    [VLLM_FLAGS, 'tensor-paralel-size', 2, /did you mean --tensor-parallel-size\?/],
    [VLLM_FLAGS, 'max-model-len', 4096, /set contextTokens instead/],
    [VLLM_FLAGS, 'max-num-seqs', 4, /set maxConcurrency instead/],
    [VLLM_FLAGS, 'no-enable-prefix-caching', true, /write enable-prefix-caching=false/],
    [VLLM_FLAGS, 'trust-remote-code', true, /not allowed: it runs code that came with the model/],
    [VLLM_FLAGS, 'port', 1, /not allowed: Yardmaster chooses where an engine listens/],
    [VLLM_FLAGS, 'otlp-traces-endpoint', 'http://x', /not allowed: it sends traces/],
    [VLLM_FLAGS, 'enable-log-requests', true, /not allowed: it writes prompts/],
    [VLLM_FLAGS, 'load-format', 'pt', /must be one of/],
    [VLLM_FLAGS, 'zzzzzzzzzz', true, /vllm has no --zzzzzzzzzz that Yardmaster knows$/],
    [LLAMA_SERVER_FLAGS, 'mmproj', '../x.gguf', /an absolute path/],
    [LLAMA_SERVER_FLAGS, 'mmproj', '/models/../etc/x', /an absolute path/],
    [LLAMA_SERVER_FLAGS, 'n-gpu-layers', '-1', /99, auto or all/],
    [LLAMA_SERVER_FLAGS, 'slot-save-path', '/tmp', /not allowed: it writes files/],
    [LLAMA_SERVER_FLAGS, 'mcp-servers-json', '{}', /not allowed: it lets the engine act/],
  ]
  for (const [flags, flag, value, message] of cases) {
    test(`${flags.engine} ${flag}=${JSON.stringify(value)}`, () => {
      const problems = engineArgProblems(flags, { [flag]: value })
      expect(problems).toEqual([{ field: `engineArgs.${flag}`, message: expect.stringMatching(message) }])
      expect(flagWords(flags, { [flag]: value })).toEqual([])
    })
  }
})

test('no allow-list has a denied flag, and every name could be written as an argument', () => {
  for (const flags of ALL) {
    for (const flag of Object.keys(flags.allowed)) {
      expect(Object.keys(DENIED_FLAGS), `${flags.engine} ${flag}`).not.toContain(flag)
      expect(DENIED_PREFIXES.some(([prefix]) => flag.startsWith(prefix))).toBe(false)
      expect(EngineArgs.safeParse({ [flag]: 1 }).success, flag).toBe(true)
    }
  }
})

const anyFlag = (flags: EngineFlags) =>
  fc.oneof(
    fc.constantFrom(...Object.keys(flags.allowed)),
    fc.constantFrom(...Object.keys(DENIED_FLAGS), 'otlp-x', 'ssl-keyfile', '__proto__', 'constructor'),
    fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,20}$/),
  )

const anyValue = fc.oneof(
  fc.boolean(),
  fc.integer(),
  fc.double(),
  fc.string({ maxLength: 60 }),
  fc.constantFrom('--trust-remote-code', '-h', '--', 'x --port=1', 'a\n--port=1', '=', '{"a":1}', '0.5', '4'),
)

for (const flags of ALL) {
  test(`whatever ${flags.engine}'s arguments say, no word of them is another flag`, () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyFlag(flags), anyValue), { maxLength: 6 }), (entries) => {
        const args = Object.fromEntries(entries)
        const words = flagWords(flags, args)
        const refused = new Set(engineArgProblems(flags, args).map((problem) => problem.field.slice(11)))
        const expected = Object.keys(args).filter((flag) => !refused.has(flag))
        const seen: string[] = []
        for (let at = 0; at < words.length; at++) {
          const word = words[at] ?? ''
          expect(word.startsWith('--'), word).toBe(true)
          const [name = ''] = word.slice(2).split('=', 1)
          const flag = Object.hasOwn(flags.allowed, name) ? name : name.replace(/^no-/, '')
          seen.push(flag)
          // In two words the value follows, and its reader takes it whatever it looks like.
          if (flags.spelling === 'two_words' && flags.allowed[flag]?.kind !== 'flag') {
            at++
            expect(words[at]).toBe(String(args[flag]))
          }
          expect(word).not.toMatch(/[\n\0]/)
        }
        expect(expected).toEqual(expect.arrayContaining(seen))
        expect(new Set(seen).size).toBe(seen.length)
      }),
    )
  })
}
