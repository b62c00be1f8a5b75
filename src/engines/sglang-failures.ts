import type { FailureRule } from './failure-classes.ts'
import { PYTORCH_FAILURES } from './pytorch-failures.ts'

/** Source: engines.md §2, sglang/srt/model_executor/model_runner.py, managers/scheduler.py. */
export const SGLANG_FAILURES: readonly FailureRule[] = [
  {
    reason: 'out_of_memory',
    pattern:
      /Not enough memory\. Please try to increase --mem-fraction-static\.?(?:.*?mem_fraction_static=([\d.]+))?/,
    message: (share) =>
      `after the model's weights nothing is left for the KV cache${share && ` (mem-fraction-static ${share})`}; give the model more memory (resources.memoryBytes), more devices, or a smaller or quantised model`,
  },
  {
    reason: 'device_busy',
    pattern: /The memory capacity is unbalanced\.?(.*)/,
    message: (rest) =>
      `the devices have different amounts of free memory, so another process uses one of them; end that one, or choose others${rest && `:${rest}`}`,
  },
  {
    reason: 'out_of_memory',
    pattern: /Capture cuda graph failed: (.+)/,
    evidence: 'weak',
    message: (what) =>
      `CUDA graphs could not be captured (${what}), mostly for want of memory; lower maxConcurrency or engineArgs.cuda-graph-max-bs`,
  },
  {
    reason: 'engine_failed',
    pattern: /Initialization failed\. warmup error: ?(.*)/,
    evidence: 'weak',
    message: (what) => `the first request after loading failed${what && `: ${what}`}`,
  },
  {
    reason: 'engine_failed',
    pattern: /Scheduler hit an exception: ?(.*)|Received sigquit from a child process/,
    evidence: 'summary',
    message: (what) =>
      `SGLang's scheduler ended${what && ` (${what})`} and its lines do not tell why; see the whole log`,
  },
  ...PYTORCH_FAILURES,
]
