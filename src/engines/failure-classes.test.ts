import fc from 'fast-check'
import { expect, test } from 'vitest'
import { classifyFailure, FAILURE_REASONS, plainLine } from './failure-classes.ts'
import { LLAMA_CPP_FAILURES } from './llama-cpp-failures.ts'
import { SGLANG_FAILURES } from './sglang-failures.ts'
import { SYSTEM_FAILURES } from './system-failures.ts'
import { VLLM_FAILURES } from './vllm-failures.ts'

test('an exit that nothing explains is told with the last line written', () => {
  const messageOf = (lines: readonly string[]) => classifyFailure({ code: 3 }, lines, []).message
  expect(messageOf(['starting', 'no kernels: \u001b[31mgiving up\u001b[0m', ' '])).toBe(
    'the engine ended with exit code 3; its last line: no kernels: giving up',
  )
  expect(messageOf([])).toBe('the engine ended with exit code 3; it wrote nothing')
  expect(messageOf(['x'.repeat(5_000)]).length).toBeLessThan(300)
  expect(messageOf(['api_key=abc123'])).not.toContain('abc123')
})

test('without a line that tells, the exit does', () => {
  const reasonOf = (exit: { code?: number; signal?: string }) => classifyFailure(exit, [], []).reason
  expect(reasonOf({ code: 0 })).toBe('exited')
  expect(reasonOf({ code: 3 })).toBe('exited')
  expect(reasonOf({})).toBe('exited')
  expect(reasonOf({ signal: 'SIGKILL' })).toBe('killed')
  expect(reasonOf({ code: 137 })).toBe('killed')
  expect(reasonOf({ signal: 'SIGTERM' })).toBe('killed')
  expect(reasonOf({ signal: 'SIGSEGV' })).toBe('crashed')
  expect(reasonOf({ code: 134 })).toBe('crashed')
  expect(reasonOf({ signal: 'SIGILL' })).toBe('unsupported_cpu')
  expect(reasonOf({ code: 127 })).toBe('program_missing')
})

test("an engine's own exit codes come before the general ones, and lines before both", () => {
  const codes = { 127: { reason: 'bad_argument', message: 'so it says' } } as const
  expect(classifyFailure({ code: 127 }, [], [], codes)).toMatchObject({ reason: 'bad_argument' })
  const rules = [{ reason: 'disk_full', pattern: /full/, message: () => 'x' }] as const
  expect(classifyFailure({ code: 127 }, ['full'], rules, codes)).toMatchObject({ reason: 'disk_full' })
})

test('a kill by the kernel says where to look', () => {
  expect(classifyFailure({ signal: 'SIGKILL' }, [], []).message).toMatch(
    /oom-kill.*resources\.hostMemoryBytes/,
  )
})

test('the last 30 lines are kept, plain, short and without keys', () => {
  const lines = Array.from({ length: 40 }, (_, at) => `\u001b[31mline ${at}\u001b[0m ${'x'.repeat(2000)}`)
  const { lastLines } = classifyFailure({ code: 1 }, lines, [])
  expect(lastLines).toHaveLength(30)
  expect(lastLines[0]).toMatch(/^line 10 x+$/)
  expect(lastLines.every((line) => line.length <= 1000)).toBe(true)
})

test('what engines print of their keys is hidden', () => {
  for (const line of [
    "server_args=ServerArgs(model_path='m', api_key='sk-engine-1', admin_api_key=None)",
    "non-default args: {'api_key': ['sk-engine-1'], 'port': 1}",
    'argv: --api-key=sk-engine-1 --port 1',
    'Authorization: Bearer sk-engine-1',
    'HF_TOKEN=sk-engine-1',
  ]) {
    expect(plainLine(line), line).not.toContain('sk-engine-1')
  }
  expect(plainLine('GPU KV cache size: 1,024 tokens')).toBe('GPU KV cache size: 1,024 tokens')
})

test('any exit and lines come to a known reason, and each pattern ends in time on long lines', () => {
  const line = fc.oneof(
    fc.string({ maxLength: 200 }),
    fc.constantFrom(
      '('.repeat(5000),
      'Free memory on device '.repeat(300),
      'a'.repeat(20_000),
      ' '.repeat(20_000),
    ),
  )
  fc.assert(
    fc.property(
      fc.constantFrom(VLLM_FAILURES, SGLANG_FAILURES, LLAMA_CPP_FAILURES, SYSTEM_FAILURES),
      fc.record(
        { code: fc.integer({ min: 0, max: 255 }), signal: fc.constantFrom('SIGTERM', 'SIGBUS') },
        { requiredKeys: [] },
      ),
      fc.array(line, { maxLength: 5 }),
      (rules, exit, lines) => {
        const failure = classifyFailure(exit, lines, rules)
        expect(Object.keys(FAILURE_REASONS)).toContain(failure.reason)
        expect(failure.message).not.toBe('')
      },
    ),
  )
})
