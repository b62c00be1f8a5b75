import type { LogSource } from './sim-log.ts'
import { type Capacity, capacityOf, type SimOptions } from './sim-options.ts'

/** How a start goes: lines, each at a share of the start-up time, and the exit code if it fails. */
export interface StartupScript {
  readonly lines: readonly StartupLine[]
  readonly exitCode: number | undefined
}

export interface StartupLine {
  /** 0 at the start, 1 when ready. */
  readonly share: number
  readonly level: 'INFO' | 'ERROR'
  readonly at: string
  readonly text: string
  readonly source: LogSource
}

/**
 * The log of a vLLM that starts with these options, in the words people and log classifiers look for: progress
 * of loading, what the KV cache comes to, and the reason when it fails.
 */
export function startupScript(options: SimOptions, version: string): StartupScript {
  const capacity = capacityOf(options)
  const lines = [...loading(options, version), ...cacheSizing(options, capacity), ...ready(options)]
  const failure = failureOf(options, capacity)
  if (failure === undefined) return { lines, exitCode: undefined }
  return {
    lines: [...lines.filter((line) => line.share < failure.share), ...failure.lines],
    exitCode: failure.exitCode,
  }
}

function loading(options: SimOptions, version: string): StartupLine[] {
  const { model, profile, tensorParallelSize } = options
  const shards = Array.from({ length: SHARDS + 1 }, (_, done) =>
    worker(
      0.15 + (0.5 * done) / SHARDS,
      'weight_utils.py:441',
      `Loading safetensors checkpoint shards: ${String((100 * done) / SHARDS).padStart(3)}% Completed | ${done}/${SHARDS}`,
    ),
  )
  const weightsGib = gib(profile.weightsBytes / tensorParallelSize)
  return [
    server(0, 'api_server.py:1896', `vLLM API server version ${version}`),
    server(0, 'utils.py:233', `non-default args: ${nonDefaultArgs(options)}`),
    server(0.05, 'model.py:1556', `Using max model len ${options.maxModelLen ?? 'auto'}`),
    core(0.1, 'core.py:94', `Initializing a V1 LLM engine (v${version}) with config: model='${model}'`),
    worker(0.12, 'gpu_model_runner.py:2653', `Starting to load model ${model}...`),
    ...shards,
    worker(
      0.7,
      'gpu_model_runner.py:2684',
      `Model loading took ${weightsGib} GiB and ${((options.startupMs * 0.7) / 1000).toFixed(6)} seconds`,
    ),
  ]
}

function cacheSizing(options: SimOptions, capacity: Capacity): StartupLine[] {
  if (capacity.kind !== 'fits') return []
  const { numBlocks, maxModelLen } = capacity
  const tokens = numBlocks * options.blockSize
  const bytes = tokens * options.profile.kvBytesPerToken
  return [
    worker(0.8, 'gpu_worker.py:298', `Available KV cache memory: ${gib(bytes)} GiB`),
    core(0.8, 'kv_cache_utils.py:1087', `GPU KV cache size: ${thousands(tokens)} tokens`),
    core(
      0.8,
      'kv_cache_utils.py:1091',
      `Maximum concurrency for ${thousands(maxModelLen)} tokens per request: ${(tokens / maxModelLen).toFixed(2)}x`,
    ),
  ]
}

function ready({ host, port }: SimOptions): StartupLine[] {
  return [
    worker(0.95, 'gpu_model_runner.py:3480', 'Graph capturing finished in 5 secs, took 0.61 GiB'),
    server(1, 'api_server.py:1971', `Starting vLLM API server 0 on http://${host}:${port}`),
  ]
}

function failureOf(options: SimOptions, capacity: Capacity) {
  const { startupFail, model, host, port } = options
  if (startupFail === 'port') return portInUse(host, port)
  if (startupFail === 'missing_model')
    return failed(0.06, 1, [
      `OSError: ${model} is not a local folder and is not a valid model identifier listed on 'https://huggingface.co/models'`,
    ])
  if (startupFail === 'oom')
    return failed(0.6, 1, [
      'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of ' +
        `${gib(options.profile.deviceMemoryBytes)} GiB of which 1.12 GiB is free.`,
      CORE_FAILED,
    ])
  if (startupFail === 'bad_arg') return failed(0, 2, ['vllm serve: error: unrecognized arguments: --bad-arg'])
  if (capacity.kind === 'no_kv_memory')
    return failed(0.8, 1, [
      'ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the engine.',
      CORE_FAILED,
    ])
  if (capacity.kind === 'fits') return undefined
  return failed(0.8, 1, [
    `ValueError: To serve at least one request with the models's max seq len (${capacity.maxModelLen}), ` +
      `(${gib(capacity.neededBytes)} GiB KV cache is needed, which is larger than the available KV cache memory ` +
      `(${gib(capacity.availableBytes)} GiB). Based on the available memory, the estimated maximum model length is ` +
      `${capacity.estimatedMaxModelLen}. Try increasing \`gpu_memory_utilization\` or decreasing \`max_model_len\` ` +
      'when initializing the engine.',
    CORE_FAILED,
  ])
}

/** What vLLM says and does when somebody else has its port. */
export function portInUse(host: string, port: number) {
  return failed(0, 1, [
    `OSError: [Errno 98] error while attempting to bind on address ('${host}', ${port}): address already in use`,
  ])
}

const SHARDS = 4
const CORE_FAILED =
  "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore_DP0': 1}"

function failed(share: number, exitCode: number, texts: readonly string[]) {
  const lines = texts.map(
    (text): StartupLine => ({ share, level: 'ERROR', at: 'core.py:708', text, source: 'EngineCore_DP0' }),
  )
  return { share, exitCode, lines }
}

function server(share: number, at: string, text: string): StartupLine {
  return { share, level: 'INFO', at, text, source: 'APIServer' }
}

function core(share: number, at: string, text: string): StartupLine {
  return { share, level: 'INFO', at, text, source: 'EngineCore_DP0' }
}

function worker(share: number, at: string, text: string): StartupLine {
  return { share, level: 'INFO', at, text, source: 'Worker_TP0' }
}

/** As vLLM prints them, without the keys. */
function nonDefaultArgs(options: SimOptions): string {
  const { model, servedModelNames, host, port, maxNumSeqs, profile, speed, seed } = options
  return JSON.stringify({
    model,
    served_model_name: servedModelNames,
    host,
    port,
    max_num_seqs: maxNumSeqs,
    profile: profile.name,
    speed,
    seed,
  })
}

function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(2)
}

function thousands(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ',')
}
