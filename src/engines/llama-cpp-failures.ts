import type { FailureRule } from './failure-classes.ts'
import { SYSTEM_FAILURES } from './system-failures.ts'

/** llama.cpp 0.5.0, run: engines.md §3.7; also what node-llama-cpp prints, which is the same library. */
export const LLAMA_CPP_FAILURES: readonly FailureRule[] = [
  {
    reason: 'out_of_memory',
    pattern: /allocating ([\d.]+) MiB on device (\d+): cudaMalloc failed: out of memory/,
    message: (wanted, device) =>
      `device ${device} had no ${wanted} MiB left; lower contextTokens or maxConcurrency, use a smaller quantisation, or more devices`,
  },
  {
    reason: 'out_of_memory',
    pattern: /failed to allocate (\w+) buffer of size (\d+)|unable to allocate (\w+) buffer/,
    message: (buffer, bytes, other) =>
      `a ${buffer || other} buffer${bytes && ` of ${mib(bytes)} MiB`} could not be allocated; lower contextTokens or maxConcurrency, use a smaller quantisation, or more devices`,
  },
  {
    reason: 'invalid_adapter',
    pattern: /failed to (?:load|apply) lora adapter '([^']+)'/i,
    message: (path) =>
      `the adapter ${path} could not be loaded; it must be a GGUF adapter made for this model`,
  },
  {
    reason: 'missing_file',
    pattern: /failed to open (?:GGUF file )?'([^']+)' ?(?:\(No such file|: ?No such file)/,
    message: (path) => `${path} is not there (or may not be read by the agent's user)`,
  },
  {
    reason: 'invalid_model',
    pattern: /tensor '([^']+)' data is not within the file bounds/,
    message: (tensor) =>
      `the file ends before tensor ${tensor}: it is damaged or was not copied whole; fetch it again`,
  },
  {
    reason: 'unsupported_model',
    pattern: /unknown model architecture: '([^']*)'/,
    message: (architecture) =>
      `this version of llama.cpp does not know the architecture "${architecture}"; update it or choose another engine`,
  },
  {
    reason: 'invalid_model',
    pattern: /key not found in model: (\S+)/,
    message: (key) => `the file lacks ${key}, which its architecture needs; it was not made for serving`,
  },
  {
    reason: 'invalid_model',
    pattern: /invalid magic characters: '([^']*)'|invalid magic/,
    message: () => 'the file is not a GGUF file; point the source at one',
  },
  {
    reason: 'bad_argument',
    pattern: /error: invalid argument: (\S+)/,
    message: (flag) => `this version of llama-server does not know ${flag}; correct engineArgs or update it`,
  },
  {
    reason: 'bad_argument',
    pattern: /error while handling argument "([^"]+)": (.+)/,
    message: (flag, what) => `llama-server refuses the value of ${flag} (${what}); correct engineArgs`,
  },
  {
    reason: 'bad_argument',
    pattern: /the server is built without SSL support/,
    message: () =>
      'this llama-server was built without TLS and so can download nothing; fetch the model first and use a file: source',
  },
  {
    reason: 'invalid_model',
    pattern: /failed to load model,? (?:from )?'?([^']+)'?/,
    evidence: 'weak',
    message: (path) =>
      `${path} could not be loaded as a model; see the lines above for what is wrong with it`,
  },
  {
    reason: 'out_of_memory',
    pattern: /failed to create_context with model '([^']+)'|failed to create context/,
    evidence: 'weak',
    message: () => 'no room for the context; lower contextTokens or maxConcurrency',
  },
  ...SYSTEM_FAILURES,
]

function mib(bytes: string): number {
  return Math.ceil(Number(bytes) / 2 ** 20)
}
