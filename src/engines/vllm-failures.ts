import type { ExitCodeReasons, FailureRule } from './failure-classes.ts'
import { PYTORCH_FAILURES } from './pytorch-failures.ts'

/** Source: engines.md §1.7, vllm/v1/worker/gpu_worker.py, v1/core/kv_cache_utils.py, config/model.py. */
export const VLLM_FAILURES: readonly FailureRule[] = [
  {
    reason: 'device_busy',
    pattern:
      /Free memory on device .*?\(([\d.]+)\/([\d.]+) GiB\) on startup is less than desired GPU memory utilization \(([\d.]+), ([\d.]+) GiB\)/,
    message: (free, total, share, wanted) =>
      `the device has ${free} of ${total} GiB free, but ${wanted} GiB are wanted (gpu-memory-utilization ${share}); another process uses it: end that one, or lower resources.memoryBytes`,
  },
  {
    reason: 'context_too_long',
    pattern:
      /max seq len \((\d+)\), \(?([\d.]+) GiB KV cache is needed, which is larger than the available KV cache memory \(([\d.]+) GiB\)(?:.*?estimated maximum model length is (\d+))?/,
    message: (tokens, needed, available, fits) =>
      `a context of ${tokens} tokens needs ${needed} GiB of KV cache and ${available} GiB are left; ${fits ? `set contextTokens to ${fits} or less` : 'lower contextTokens'}, or give the model more memory`,
  },
  {
    reason: 'context_too_long',
    pattern:
      /User-specified max_model_len \((\d+)\) is greater than the derived max_model_len \((\S*?=?(\d+))\b/,
    message: (asked, _derived, made) =>
      `the model was made for a context of ${made} tokens and contextTokens asks for ${asked}; set it to ${made} or less`,
  },
  {
    reason: 'out_of_memory',
    pattern: /No available memory for the cache blocks(?:.*?Available KV cache memory: (-?[\d.]+) GiB)?/,
    message: (left) =>
      `after the model's weights nothing is left for the KV cache${left && ` (${left} GiB)`}; give the model more memory (resources.memoryBytes), more devices, or a smaller or quantised model`,
  },
  {
    reason: 'memory_race',
    pattern:
      /Error in memory profiling\. Initial free memory(?: is)? ([\d.]+ ?\w*)(?:.*?current free memory(?: is)? ([\d.]+ ?\w*))?/,
    message: (before, after) =>
      `another process on the device gave back memory while vLLM measured it (${before} free before${after && `, ${after} after`}); it is tried again`,
  },
  {
    reason: 'bad_argument',
    pattern: /max_num_batched_tokens \((\d+)\) must be greater than or equal to max_num_seqs \((\d+)\)/,
    message: (batched, sequences) =>
      `maxConcurrency ${sequences} is more than max-num-batched-tokens ${batched}; lower the first or raise engineArgs.max-num-batched-tokens`,
  },
  {
    reason: 'invalid_adapter',
    pattern: /LoRA rank (\d+) is greater than max_lora_rank (\d+)/,
    message: (rank, most) =>
      `an adapter has rank ${rank} and at most ${most} is prepared for; set engineArgs.max-lora-rank to ${rank} or more`,
  },
  {
    reason: 'bad_argument',
    pattern: /Value error, (.+?)(?: \[type=value_error.*)?$/,
    evidence: 'weak',
    message: (what) => `the engine refuses its configuration: ${what}`,
  },
  {
    reason: 'engine_failed',
    pattern: /Engine core initialization failed\. See root cause above\. Failed core proc\(s\): (\{.*\})/,
    evidence: 'summary',
    message: (processes) =>
      `vLLM's core processes ended (${processes}) and their lines do not tell why; see the whole log`,
  },
  {
    reason: 'engine_failed',
    pattern: /EngineCore failed to start|WorkerProc initialization failed|EngineDeadError/,
    evidence: 'summary',
    message: () => "vLLM's core ended and its lines do not tell why; see the whole log",
  },
  ...PYTORCH_FAILURES,
]

/** argparse ends with 2; what it says is in its last line. */
export const ARGPARSE_EXIT_CODES: ExitCodeReasons = {
  2: {
    reason: 'bad_argument',
    message: 'the engine refuses its arguments; see its last lines and correct engineArgs',
  },
}
