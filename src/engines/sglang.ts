import { deviceEnvironment } from './device-environment.ts'
import type { Command, Engine, Launch } from './engine.ts'
import { type FlagValues, flagWords, intArg, withUserArgs } from './engine-args.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure } from './failure-classes.ts'
import { hubEnvironment } from './hub-environment.ts'
import { isObject, parseJson } from './json.ts'
import { sglangLora } from './lora-calls.ts'
import { onceReady, whileLoading } from './probe-verdicts.ts'
import { progressReader } from './progress.ts'
import { readRerankBody } from './rerank.ts'
import { SGLANG_FAILURES } from './sglang-failures.ts'
import { SGLANG_FLAGS } from './sglang-flags.ts'
import { hubOrGgufProblems, shardingProblems } from './sharding.ts'
import { templateProblems } from './template-problems.ts'
import { ARGPARSE_EXIT_CODES } from './vllm-failures.ts'

/**
 * SGLang 0.5. Sources: engines.md §2, sglang/srt/server_args.py and entrypoints/http_server.py; not run here, for want
 * of a device.
 */
export const sglang: Engine = {
  name: 'sglang',
  deviceKinds: ['cuda', 'rocm', 'ascend'],
  managed: true,
  sources: ['file', 'hf'],
  programs: ['sglang'],
  lora: 'runtime',
  validate: (template) => [
    ...templateProblems(template, {
      engine: 'sglang',
      sources: sglang.sources,
      lora: sglang.lora,
      flags: SGLANG_FLAGS,
      adaptersNeedFields: true,
    }),
    ...hubOrGgufProblems(template, 'sglang', ['tokenizer-path']),
    ...shardingProblems(template, ['tp-size', 'pp-size']),
  ],
  command: sglangCommand,
  // Answers 503 until the warm-up is over and then generates one token, which takes at least one poll of a second.
  readiness: { method: 'GET', path: '/health_generate', timeoutMs: 25_000 },
  readReadiness: whileLoading,
  // Cheap, because of SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION below; SGLang's own watchdog ends a hung scheduler.
  liveness: { method: 'GET', path: '/health', timeoutMs: 10_000, everyMs: 10_000, failuresToUnhealthy: 3 },
  readLiveness: onceReady,
  progress: progressReader([
    [/Load weight begin/, 0.05, () => 'loading weights'],
    [
      /Loading safetensors checkpoint shards: +(\d+)% Completed \| (\d+)\/(\d+)/,
      (percent) => 0.05 + 0.55 * (Number(percent) / 100),
      (_percent, done, all) => `loading weights: shard ${done} of ${all}`,
    ],
    [/Load weight end\..*?mem usage=([\d.]+) GB/, 0.65, (size) => `weights loaded: ${size} GB`],
    [/KV Cache is allocated\. #tokens: (\d+)/, 0.75, (tokens) => `KV cache of ${tokens} tokens`],
    [/Capture (?:cuda )?graph begin/i, 0.8, () => 'capturing CUDA graphs'],
    [
      /Capture (?:cuda )?graph end\..*?elapsed=([\d.]+) s/i,
      0.95,
      (time) => `CUDA graphs captured in ${time} s`,
    ],
    [/The server is fired up and ready to roll!/, 1, () => 'started'],
  ]),
  classify: (exit, lines) => classifyFailure(exit, lines, SGLANG_FAILURES, ARGPARSE_EXIT_CODES),
  // SIGTERM waits for all requests without a bound and looks once in 5 s; what was not drained before is given up.
  stop: [
    { signal: 'SIGTERM', waitMs: 20_000 },
    { signal: 'SIGKILL', waitMs: 10_000 },
  ],
  metrics: { method: 'GET', path: '/metrics', timeoutMs: 5_000 },
  readLoad: (text) => readEngineLoad('sglang', text),
  version: {
    call: { method: 'GET', path: '/get_server_info', timeoutMs: 10_000 },
    read: (result) => {
      const answer = result.kind === 'answer' && result.status === 200 ? parseJson(result.body) : undefined
      return isObject(answer) && typeof answer.version === 'string' ? answer.version : undefined
    },
  },
  loadAdapter: sglangLora.load,
  unloadAdapter: sglangLora.unload,
  adapterFields: ({ servedName, adapter }) => ({ model: `${servedName}:${adapter}` }),
  readRerank: readRerankBody,
}

/**
 * SGLang takes its key by flag only, where `ps` shows it. So Python is given this program, which adds the flag from
 * the environment once inside. Its workers are spawned, not forked, and do not run it again: a program given by `-c`
 * has no file. The current directory is taken off the module path, since it is no place to load code from.
 */
export const SGLANG_LAUNCHER = [
  'import os,runpy,sys',
  "sys.path[:]=[p for p in sys.path if p!='']",
  "sys.argv=['sglang.launch_server',*sys.argv[1:],'--api-key',os.environ.pop('YARD_ENGINE_KEY')]",
  "runpy.run_module('sglang.launch_server',run_name='__main__')",
].join(';')

/**
 * The share of a device for weights and KV cache: (bytes granted − reserve) ÷ the device's memory, rounded down to
 * three places, within 0.05 to 0.95. The reserve is what SGLang takes beside them and what the estimate of a footprint
 * counts for it: 512 MiB + 1.5 MiB a token of a prefill chunk for activations and graphs (engines.md §2), 512 MiB for
 * the device's context, 1 GiB for collectives between several devices. Undefined when nothing was granted by number:
 * SGLang's own choice stands then.
 */
export function memFractionStatic(
  launch: Pick<Launch, 'devices' | 'bytesPerDevice' | 'engineArgs'>,
): number | undefined {
  const largest = Math.max(0, ...launch.devices.map((device) => device.memoryBytes))
  if (largest === 0 || launch.bytesPerDevice <= 0) return undefined
  const collectives = launch.devices.length > 1 ? 1024 : 0
  const reserve = (512 + 1.5 * Math.max(prefillTokens(launch), 2048) + 512 + collectives) * 2 ** 20
  const share = Math.floor(((launch.bytesPerDevice - reserve) / largest) * 1000) / 1000
  return Math.min(0.95, Math.max(0.05, share))
}

/** SGLang would choose by the whole device's memory, of which only a part may have been granted. */
const PREFILL_TOKENS = 4096

function prefillTokens({ engineArgs }: Pick<Launch, 'engineArgs'>): number {
  return intArg(engineArgs, 'chunked-prefill-size') ?? PREFILL_TOKENS
}

function sglangCommand(launch: Launch): Command {
  const lora = launch.adapters.length > 0 || launch.engineArgs['enable-lora'] === true
  return {
    file: 'python3',
    argv: [
      '-c',
      SGLANG_LAUNCHER,
      `--model-path=${launch.modelRef}`,
      `--host=${launch.host}`,
      `--port=${launch.port}`,
      `--served-model-name=${launch.servedName}`,
      '--enable-metrics',
      ...(launch.revision === undefined ? [] : [`--revision=${launch.revision}`]),
      ...(launch.contextTokens === undefined ? [] : [`--context-length=${launch.contextTokens}`]),
      ...(launch.maxConcurrency === undefined ? [] : [`--max-running-requests=${launch.maxConcurrency}`]),
      ...(launch.embeddings ? ['--is-embedding'] : []),
      ...flagWords(SGLANG_FLAGS, withUserArgs(derivedFlags(launch, lora), launch.engineArgs)),
      ...loraPaths(launch.adapters),
    ],
    env: {
      ...deviceEnvironment(launch.devices, 'index'),
      YARD_ENGINE_KEY: launch.credential,
      SGLANG_ENABLE_HEALTH_ENDPOINT_GENERATION: 'false',
      TRITON_CACHE_DIR: `${launch.cacheDir}/triton`,
      TORCHINDUCTOR_CACHE_DIR: `${launch.cacheDir}/torchinductor`,
      ...hubEnvironment(launch),
    },
  }
}

function derivedFlags(launch: Launch, lora: boolean): FlagValues {
  const { engineArgs, devices, adapters } = launch
  // With attention split by data the ranks are shared; otherwise each copy has ranks of its own.
  const copies = engineArgs['enable-dp-attention'] === true ? 1 : (intArg(engineArgs, 'dp-size') ?? 1)
  const others = (intArg(engineArgs, 'pp-size') ?? 1) * copies
  const share = memFractionStatic(launch)
  const rank = Math.max(0, ...adapters.map((adapter) => adapter.rank ?? 0))
  return {
    'tp-size': Math.max(1, Math.floor(devices.length / others)),
    ...(share === undefined
      ? {}
      : { 'mem-fraction-static': share, 'chunked-prefill-size': prefillTokens(launch) }),
    'enable-cache-report': true,
    ...(lora
      ? {
          'enable-lora': true,
          'max-loras-per-batch': Math.min(Math.max(1, adapters.length), 8),
          'lora-target-modules': 'all',
        }
      : {}),
    ...(rank > 0 ? { 'max-lora-rank': rank } : {}),
  }
}

/** As JSON, because the short form `name=path` does not allow another `=` in a path. */
function loraPaths(adapters: Launch['adapters']): readonly string[] {
  if (adapters.length === 0) return []
  return [
    '--lora-paths',
    ...adapters.map(({ name, path }) => JSON.stringify({ lora_name: name, lora_path: path, pinned: false })),
  ]
}
