import type { ExitCodeReasons, FailureReason, FailureRule } from './failure-classes.ts'
import { parseJson } from './json.ts'
import { LLAMA_CPP_FAILURES } from './llama-cpp-failures.ts'

/** Reasons that `yard engine llama` logs with `load_failed`, and ours for them. */
const LOAD_REASONS: Readonly<Record<string, FailureReason>> = {
  file_missing: 'missing_file',
  file_unreadable: 'missing_file',
  not_a_model: 'invalid_model',
  not_gguf: 'invalid_model',
  unsupported_version: 'unsupported_model',
  truncated: 'invalid_model',
  limit_exceeded: 'invalid_model',
  bad_metadata: 'invalid_model',
  bad_tensor: 'invalid_model',
  unknown_tensor_type: 'unsupported_model',
  missing_key: 'invalid_model',
  unsupported_architecture: 'unsupported_model',
  out_of_memory: 'out_of_memory',
  runtime_missing: 'program_missing',
  load_failed: 'invalid_model',
  adapter_file_missing: 'missing_file',
  adapter_out_of_memory: 'out_of_memory',
  internal: 'engine_failed',
}

/** The program's own log lines say why in words of ours; what llama.cpp prints stands behind them. */
export const LLAMA_FAILURES: readonly FailureRule[] = [
  ...Object.entries(LOAD_REASONS).map(([theirs, reason]) => logged('load_failed', theirs, reason)),
  logged('load_failed', 'adapter_\\w+|too_many_adapters|invalid_value', 'invalid_adapter'),
  {
    reason: 'port_in_use',
    pattern: /"event":"cannot_listen","reason":"EADDRINUSE".*?"port":(\d+)/,
    message: (port) =>
      `port ${port} is taken by another process on this node; end that process, or let the replica be placed again`,
  },
  {
    reason: 'engine_failed',
    pattern: /"event":"engine_fault".*?"message":("(?:[^"\\]|\\.)*")/,
    message: (text) => `llama.cpp failed while it ran: ${unquoted(text)}`,
  },
  {
    reason: 'bad_argument',
    pattern: /^yard engine llama: (.+)/,
    message: (what) => `the engine refuses its arguments: ${what}; correct engineArgs`,
  },
  ...LLAMA_CPP_FAILURES,
]

/** Source: `LLAMA_EXIT` of the program. */
export const LLAMA_EXIT_CODES: ExitCodeReasons = {
  1: { reason: 'invalid_model', message: 'the model or an adapter could not be loaded; see the last line' },
  2: {
    reason: 'bad_argument',
    message: 'the engine refuses its arguments; see its last line and correct engineArgs',
  },
  3: {
    reason: 'port_in_use',
    message:
      'the engine could not listen: its port is taken by another process on this node, or the host has no such address',
  },
  4: { reason: 'engine_failed', message: 'llama.cpp failed while it ran; see the last lines' },
}

function logged(event: string, theirs: string, reason: FailureReason): FailureRule {
  return {
    reason,
    pattern: new RegExp(`"event":"${event}","reason":"(?:${theirs})","message":("(?:[^"\\\\]|\\\\.)*")`),
    message: unquoted,
  }
}

function unquoted(text: string): string {
  const value = parseJson(text)
  return typeof value === 'string' ? value : text
}
