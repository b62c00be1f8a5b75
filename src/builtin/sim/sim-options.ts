import { MOCKER, type Profile } from './step-time.ts'

/** Start-ups that fail, each with the words and the exit code vLLM fails with. */
export const STARTUP_FAILURES = ['oom', 'bad_arg', 'missing_model', 'port'] as const
export type StartupFailure = (typeof STARTUP_FAILURES)[number]

/** Everything that decides how one simulated engine behaves. Made by `parseSimArgs` or `simOptions`. */
export interface SimOptions {
  readonly model: string
  /** At least one. The first is the `model_name` label and the `model` of responses. */
  readonly servedModelNames: readonly string[]
  readonly host: string
  readonly port: number
  /** Undefined: what the cache holds, at most 32,768. */
  readonly maxModelLen: number | undefined
  readonly maxNumSeqs: number
  readonly maxNumBatchedTokens: number
  readonly blockSize: number
  /** Blocks of KV cache; wins over `kvCacheMemoryBytes`, which wins over `gpuMemoryUtilization`. */
  readonly numGpuBlocksOverride: number | undefined
  readonly kvCacheMemoryBytes: number | undefined
  readonly gpuMemoryUtilization: number
  readonly tensorParallelSize: number
  readonly prefixCaching: boolean
  /** Waiting and running requests; more are refused with 503. */
  readonly maxNumQueuedReqs: number
  readonly enableLora: boolean
  readonly maxLoras: number
  readonly loraModules: readonly { readonly name: string; readonly path: string }[]
  /** Whether the load and unload calls exist (`VLLM_ALLOW_RUNTIME_LORA_UPDATING`). */
  readonly runtimeLora: boolean
  readonly apiKeys: readonly string[]
  readonly shutdownTimeoutMs: number
  readonly seed: number
  readonly promptTokensDetails: boolean
  readonly forceIncludeUsage: boolean
  readonly serverLoadTracking: boolean
  readonly requestIdHeaders: boolean
  /** Which API it serves: generation, pooling (embeddings, rerank, score), or both. */
  readonly runner: 'auto' | 'generate' | 'pooling'
  /** How many times faster than the profile. */
  readonly speed: number
  readonly profile: Profile
  /** Relative standard deviation of step times. */
  readonly jitter: number
  readonly startupMs: number
  readonly startupFail: StartupFailure | undefined
  readonly mode: 'random' | 'echo'
}

/** Options from a few fields, the rest as on the command line without flags. For tests and the simulation. */
export function simOptions(fields: Partial<SimOptions> & Pick<SimOptions, 'model'>): SimOptions {
  return { ...DEFAULTS, servedModelNames: [fields.model], ...fields }
}

/** What the options come to on the profile's device, or why vLLM would not start with them. */
export type Capacity =
  | { readonly kind: 'fits'; readonly numBlocks: number; readonly maxModelLen: number }
  | {
      readonly kind: 'kv_too_small'
      readonly maxModelLen: number
      readonly neededBytes: number
      readonly availableBytes: number
      readonly estimatedMaxModelLen: number
    }
  | { readonly kind: 'no_kv_memory' }

/** Sizes the KV cache the way vLLM does: a share of device memory, less weights and working memory. */
export function capacityOf(options: SimOptions): Capacity {
  const { profile, blockSize } = options
  const shareBytes = options.gpuMemoryUtilization * profile.deviceMemoryBytes - profile.weightsBytes
  const availableBytes = options.kvCacheMemoryBytes ?? shareBytes - ACTIVATION_BYTES
  const blockBytes = blockSize * profile.kvBytesPerToken
  const numBlocks = options.numGpuBlocksOverride ?? Math.floor(availableBytes / blockBytes)
  if (numBlocks < 1) return { kind: 'no_kv_memory' }
  const holdsTokens = numBlocks * blockSize
  const maxModelLen = options.maxModelLen ?? Math.min(DEFAULT_MODEL_LEN, holdsTokens)
  if (maxModelLen <= holdsTokens) return { kind: 'fits', numBlocks, maxModelLen }
  return {
    kind: 'kv_too_small',
    maxModelLen,
    neededBytes: Math.ceil(maxModelLen / blockSize) * blockBytes,
    availableBytes: numBlocks * blockBytes,
    estimatedMaxModelLen: holdsTokens,
  }
}

const DEFAULT_MODEL_LEN = 32_768
/** Activations of the profile run and what is not PyTorch's; a constant is near enough here. */
const ACTIVATION_BYTES = 2 ** 31

/** What a flag that is not given means. */
export const DEFAULTS: Omit<SimOptions, 'model' | 'servedModelNames'> = {
  host: '127.0.0.1',
  port: 8000,
  maxModelLen: undefined,
  maxNumSeqs: 256,
  maxNumBatchedTokens: 8192,
  blockSize: 16,
  numGpuBlocksOverride: undefined,
  kvCacheMemoryBytes: undefined,
  gpuMemoryUtilization: 0.92,
  tensorParallelSize: 1,
  prefixCaching: true,
  maxNumQueuedReqs: 10_000,
  enableLora: false,
  maxLoras: 1,
  loraModules: [],
  runtimeLora: false,
  apiKeys: [],
  shutdownTimeoutMs: 0,
  seed: 0,
  promptTokensDetails: true,
  forceIncludeUsage: false,
  serverLoadTracking: false,
  requestIdHeaders: false,
  runner: 'auto',
  speed: 1,
  profile: MOCKER,
  jitter: 0,
  startupMs: 0,
  startupFail: undefined,
  mode: 'random',
}
