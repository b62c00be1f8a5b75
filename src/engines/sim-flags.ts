import type { EngineFlags } from './engine-args.ts'
import { choice, int, number, on, onOff, word } from './flag-types.ts'

/** Source: `yard engine sim --help`: those of vLLM's that mean something to it, and its own. */
export const SIM_FLAGS: EngineFlags = {
  engine: 'sim',
  spelling: 'one_word',
  fields: {
    'max-model-len': 'contextTokens',
    'max-num-seqs': 'maxConcurrency',
    'lora-modules': 'adapters',
  },
  allowed: {
    'max-num-batched-tokens': int(1, 2 ** 24),
    'max-num-queued-reqs': int(1, 1e6),
    'block-size': int(1, 256),
    'num-gpu-blocks-override': int(1, 2 ** 31),
    'kv-cache-memory-bytes': int(1, 2 ** 50),
    'gpu-memory-utilization': number(0.01, 1),
    'tensor-parallel-size': int(1, 64),
    'enable-prefix-caching': onOff,
    'enable-prompt-tokens-details': onOff,
    'enable-force-include-usage': on,
    'enable-server-load-tracking': on,
    'enable-request-id-headers': on,
    'enable-lora': on,
    'max-loras': int(1, 64),
    runner: choice('auto generate pooling'),
    'shutdown-timeout': int(0, 3600),
    seed: int(0, 2 ** 31),
    speed: number(0.001, 1e6),
    profile: word,
    jitter: number(0, 0.3),
    'startup-ms': int(0, 3_600_000),
    'startup-fail': choice('oom bad_arg missing_model port'),
    mode: choice('random echo'),
  },
}
