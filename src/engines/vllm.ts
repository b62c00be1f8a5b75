import { deviceEnvironment } from './device-environment.ts'
import type { Command, Engine, Launch } from './engine.ts'
import { type FlagValues, flagWords, intArg, withUserArgs } from './engine-args.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure } from './failure-classes.ts'
import { hubEnvironment } from './hub-environment.ts'
import { isObject, parseJson } from './json.ts'
import { vllmLora } from './lora-calls.ts'
import { onceReady, whileLoading } from './probe-verdicts.ts'
import { progressReader } from './progress.ts'
import { readRerankBody } from './rerank.ts'
import { hubOrGgufProblems, shardingProblems } from './sharding.ts'
import { templateProblems } from './template-problems.ts'
import { ARGPARSE_EXIT_CODES, VLLM_FAILURES } from './vllm-failures.ts'
import { VLLM_FLAGS, VLLM_LORA_RANKS } from './vllm-flags.ts'

/**
 * vLLM 0.10 to 0.32, `vllm serve`. Sources: engines.md §1 (its docs and code of 0.27 to 0.32); not run here, for want
 * of a device. Only flags that all of these versions know are written unasked.
 */
export const vllm: Engine = {
  name: 'vllm',
  deviceKinds: ['cuda', 'rocm', 'ascend'],
  managed: true,
  sources: ['file', 'hf'],
  programs: ['vllm'],
  lora: 'runtime',
  validate: (template) => [
    ...templateProblems(template, {
      engine: 'vllm',
      sources: vllm.sources,
      lora: vllm.lora,
      flags: VLLM_FLAGS,
    }),
    ...hubOrGgufProblems(template, 'vllm', ['tokenizer', 'hf-config-path']),
    ...shardingProblems(template, ['tensor-parallel-size', 'pipeline-parallel-size', 'data-parallel-size']),
    ...toolProblems(template.engineArgs),
  ],
  command: vllmCommand,
  readiness: { method: 'GET', path: '/health', timeoutMs: 5_000 },
  readReadiness: whileLoading,
  // The API process answers late when it is busy with long prompts; an engine that died ends the process by itself.
  liveness: { method: 'GET', path: '/health', timeoutMs: 10_000, everyMs: 10_000, failuresToUnhealthy: 3 },
  readLiveness: onceReady,
  progress: progressReader([
    [/Starting to load model (\S+?)\.*$/, 0.02, (name) => `loading ${name}`],
    [
      /Loading safetensors checkpoint shards: +(\d+)% Completed \| (\d+)\/(\d+)/,
      (percent) => 0.05 + 0.55 * (Number(percent) / 100),
      (_percent, done, all) => `loading weights: shard ${done} of ${all}`,
    ],
    [
      /Model loading took ([\d.]+) GiB.* and ([\d.]+) seconds/,
      0.65,
      (size, seconds) => `weights loaded: ${size} GiB in ${seconds} s`,
    ],
    [/torch\.compile takes ([\d.]+) s/, 0.75, (seconds) => `compiled in ${seconds} s`],
    [/Available KV cache memory: ([\d.]+) GiB/, 0.8, (size) => `${size} GiB for the KV cache`],
    [
      /Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x/,
      0.82,
      (tokens, times) => `room for ${times} requests of ${tokens} tokens`,
    ],
    [/GPU KV cache size: ([\d,]+) tokens/, 0.81, (tokens) => `KV cache of ${tokens} tokens`],
    [
      /Capturing CUDA graphs[^:]*: +(\d+)%/,
      (percent) => 0.85 + 0.1 * (Number(percent) / 100),
      (percent) => `capturing CUDA graphs: ${percent} %`,
    ],
    [/Graph capturing finished in ([\d.]+) sec/, 0.96, (seconds) => `CUDA graphs captured in ${seconds} s`],
    [/Application startup complete\./, 1, () => 'started'],
  ]),
  classify: (exit, lines) => classifyFailure(exit, lines, VLLM_FAILURES, ARGPARSE_EXIT_CODES),
  // Without --shutdown-timeout a SIGTERM ends requests in flight at once; the rest of the time is for the workers.
  stop: [
    { signal: 'SIGTERM', waitMs: 20_000 },
    { signal: 'SIGKILL', waitMs: 10_000 },
  ],
  metrics: { method: 'GET', path: '/metrics', timeoutMs: 5_000 },
  readLoad: (text) => readEngineLoad('vllm', text),
  version: {
    call: { method: 'GET', path: '/version', timeoutMs: 5_000 },
    read: (result) => {
      const answer = result.kind === 'answer' && result.status === 200 ? parseJson(result.body) : undefined
      return isObject(answer) && typeof answer.version === 'string' ? answer.version : undefined
    },
  },
  loadAdapter: vllmLora.load,
  unloadAdapter: vllmLora.unload,
  readRerank: readRerankBody,
}

/**
 * The share of a device that vLLM may take: bytes granted ÷ the device's memory, rounded down to three places so
 * that it never comes to more, within 0.01 to 0.98 (the runtime itself takes the rest). By the largest device, since
 * one share holds for all. Undefined when nothing was granted by number: vLLM's own default stands then.
 */
export function memoryUtilization(launch: Pick<Launch, 'devices' | 'bytesPerDevice'>): number | undefined {
  const largest = Math.max(0, ...launch.devices.map((device) => device.memoryBytes))
  if (largest === 0 || launch.bytesPerDevice <= 0) return undefined
  const share = Math.floor((launch.bytesPerDevice / largest) * 1000) / 1000
  return Math.min(0.98, Math.max(0.01, share))
}

/** The smallest rank that vLLM prepares for and that all adapters fit into; undefined when none is known. */
export function loraRank(adapters: Launch['adapters']): number | undefined {
  const needed = Math.max(0, ...adapters.map((adapter) => adapter.rank ?? 0))
  if (needed === 0) return undefined
  return VLLM_LORA_RANKS.find((rank) => rank >= needed) ?? VLLM_LORA_RANKS.at(-1)
}

function vllmCommand(launch: Launch): Command {
  const lora = launch.adapters.length > 0 || launch.engineArgs['enable-lora'] === true
  return {
    file: 'vllm',
    argv: [
      'serve',
      launch.modelRef,
      `--host=${launch.host}`,
      `--port=${launch.port}`,
      `--served-model-name=${launch.servedName}`,
      ...(launch.revision === undefined ? [] : [`--revision=${launch.revision}`]),
      ...(launch.contextTokens === undefined ? [] : [`--max-model-len=${launch.contextTokens}`]),
      ...(launch.maxConcurrency === undefined ? [] : [`--max-num-seqs=${launch.maxConcurrency}`]),
      ...flagWords(VLLM_FLAGS, withUserArgs(derivedFlags(launch, lora), launch.engineArgs)),
      ...loraModules(launch.adapters),
    ],
    env: {
      ...deviceEnvironment(launch.devices, 'index'),
      VLLM_API_KEY: launch.credential,
      VLLM_NO_USAGE_STATS: '1',
      VLLM_HOST_IP: '127.0.0.1',
      VLLM_CACHE_ROOT: `${launch.cacheDir}/vllm`,
      TRITON_CACHE_DIR: `${launch.cacheDir}/triton`,
      // What vLLM's multi-process executor would choose, said before any worker forks.
      OMP_NUM_THREADS: '1',
      SAFETENSORS_FAST_GPU: '1',
      ...hubEnvironment(launch),
      ...(lora ? { VLLM_ALLOW_RUNTIME_LORA_UPDATING: 'True' } : {}),
    },
  }
}

function derivedFlags(launch: Launch, lora: boolean): FlagValues {
  const { engineArgs, devices } = launch
  const others =
    (intArg(engineArgs, 'pipeline-parallel-size') ?? 1) * (intArg(engineArgs, 'data-parallel-size') ?? 1)
  const share = memoryUtilization(launch)
  const rank = loraRank(launch.adapters)
  const count = Math.max(1, launch.adapters.length)
  return {
    'tensor-parallel-size': Math.max(1, Math.floor(devices.length / others)),
    // A fixed cache size makes vLLM ignore the share.
    ...(share === undefined || engineArgs['kv-cache-memory-bytes'] !== undefined
      ? {}
      : { 'gpu-memory-utilization': share }),
    'enable-prompt-tokens-details': true,
    ...(launch.embeddings ? { runner: 'pooling' } : {}),
    ...(lora
      ? { 'enable-lora': true, 'max-loras': Math.min(count, 8), 'max-cpu-loras': Math.max(count, 8) }
      : {}),
    ...(rank === undefined ? {} : { 'max-lora-rank': rank }),
  }
}

/** As JSON, because the short form `name=path` does not allow another `=` in a path. */
export function loraModules(adapters: Launch['adapters']): readonly string[] {
  if (adapters.length === 0) return []
  return ['--lora-modules', ...adapters.map(({ name, path }) => JSON.stringify({ name, path }))]
}

function toolProblems(args: Launch['engineArgs']) {
  return args['enable-auto-tool-choice'] === true && args['tool-call-parser'] === undefined
    ? [
        {
          field: 'engineArgs.enable-auto-tool-choice',
          message: 'also needs tool-call-parser, for example hermes or llama3_json',
        },
      ]
    : []
}
