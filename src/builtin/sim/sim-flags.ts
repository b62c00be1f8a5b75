import { type ArgReader, flag, float, int, list, oneOf, text } from './arg-readers.ts'
import { type SimOptions, STARTUP_FAILURES } from './sim-options.ts'
import { PROFILE_NAMES, profileByName } from './step-time.ts'

/** The fields that flags have set so far. */
export type Draft = { -readonly [field in keyof SimOptions]?: SimOptions[field] | undefined }

/** One flag: how it is spelled, how many words may follow, and what it sets. */
export interface Flag {
  readonly names: string
  readonly most: number
  /** Sets the draft, or returns argparse's complaint. */
  readonly read: (values: readonly string[], draft: Draft) => string | undefined
}

const profile: ArgReader<NonNullable<Draft['profile']>> = {
  most: 1,
  read(values, done) {
    const found = profileByName(values[0] ?? '')
    if (found === undefined)
      return `invalid choice: '${values[0] ?? ''}' (choose from ${PROFILE_NAMES.join(', ')})`
    done(found)
    return undefined
  },
}

const loraModules: ArgReader<SimOptions['loraModules']> = {
  most: 1000,
  read(values, done) {
    const modules: { name: string; path: string }[] = []
    for (const value of values) {
      const read = value.startsWith('{') ? fromJson(value) : fromPair(value)
      if (read === undefined) return `Invalid LoRA module: '${value}' (want name=path)`
      modules.push(read)
    }
    if (modules.length === 0) return 'expected at least one argument'
    done(modules)
    return undefined
  },
}

function fromPair(value: string) {
  const at = value.indexOf('=')
  return at > 0 && at < value.length - 1 ? { name: value.slice(0, at), path: value.slice(at + 1) } : undefined
}

function fromJson(value: string) {
  try {
    const { name, path } = JSON.parse(value)
    return typeof name === 'string' && typeof path === 'string' ? { name, path } : undefined
  } catch {
    return undefined
  }
}

const ROWS: readonly Flag[] = [
  one('--model', text(), (draft, value) => (draft.model = value)),
  one('--served-model-name', list(), (draft, value) => (draft.servedModelNames = value)),
  one('--host', text(), (draft, value) => (draft.host = value)),
  one('--port', int({ least: 0, most: 65_535 }), (draft, value) => (draft.port = value)),
  one('--api-key', list(), (draft, value) => (draft.apiKeys = value)),
  one('--max-model-len', int({ least: -1 }), (draft, value) => {
    draft.maxModelLen = value > 0 ? value : undefined
  }),
  one('--max-num-seqs', int({ least: 1 }), (draft, value) => (draft.maxNumSeqs = value)),
  one('--max-num-batched-tokens', int({ least: 1 }), (draft, value) => (draft.maxNumBatchedTokens = value)),
  one('--block-size', int({ least: 1, most: 256 }), (draft, value) => (draft.blockSize = value)),
  one('--num-gpu-blocks-override', int({ least: 1 }), (draft, value) => (draft.numGpuBlocksOverride = value)),
  one('--kv-cache-memory-bytes', int({ least: 1 }), (draft, value) => (draft.kvCacheMemoryBytes = value)),
  one('--gpu-memory-utilization', float({ least: 0, most: 1, aboveLeast: true }), (draft, value) => {
    draft.gpuMemoryUtilization = value
  }),
  one('--tensor-parallel-size/-tp', int({ least: 1 }), (draft, value) => (draft.tensorParallelSize = value)),
  one('--max-num-queued-reqs', int({ least: 1 }), (draft, value) => (draft.maxNumQueuedReqs = value)),
  one('--max-loras', int({ least: 1 }), (draft, value) => (draft.maxLoras = value)),
  one('--lora-modules', loraModules, (draft, value) => (draft.loraModules = value)),
  one('--shutdown-timeout', int({ least: 0 }), (draft, value) => (draft.shutdownTimeoutMs = value * 1000)),
  one('--seed', int({ least: 0 }), (draft, value) => (draft.seed = value)),
  one('--runner', oneOf('auto', 'generate', 'pooling'), (draft, value) => (draft.runner = value)),
  one('--enable-lora', flag(true), (draft, value) => (draft.enableLora = value)),
  one('--enable-prefix-caching', flag(true), (draft, value) => (draft.prefixCaching = value)),
  one('--no-enable-prefix-caching', flag(false), (draft, value) => (draft.prefixCaching = value)),
  one('--enable-prompt-tokens-details', flag(true), (draft, value) => (draft.promptTokensDetails = value)),
  one(
    '--no-enable-prompt-tokens-details',
    flag(false),
    (draft, value) => (draft.promptTokensDetails = value),
  ),
  one('--enable-force-include-usage', flag(true), (draft, value) => (draft.forceIncludeUsage = value)),
  one('--enable-server-load-tracking', flag(true), (draft, value) => (draft.serverLoadTracking = value)),
  one('--enable-request-id-headers', flag(true), (draft, value) => (draft.requestIdHeaders = value)),
  one('--speed', float({ least: 0, most: 1e6, aboveLeast: true }), (draft, value) => (draft.speed = value)),
  one('--profile', profile, (draft, value) => (draft.profile = value)),
  one('--jitter', float({ least: 0, most: 0.3 }), (draft, value) => (draft.jitter = value)),
  one('--startup-ms', int({ least: 0 }), (draft, value) => (draft.startupMs = value)),
  one('--startup-fail', oneOf(...STARTUP_FAILURES), (draft, value) => (draft.startupFail = value)),
  one('--mode', oneOf('random', 'echo'), (draft, value) => (draft.mode = value)),
  ...valued(
    '--dtype --quantization -q --revision --tokenizer --download-dir --load-format --kv-cache-dtype --convert ' +
      '--cpu-offload-gb --max-lora-rank --max-cpu-loras --pipeline-parallel-size -pp --data-parallel-size -dp ' +
      '--distributed-executor-backend --tool-call-parser --reasoning-parser --chat-template --hf-overrides ' +
      '--generation-config --speculative-config --disable-access-log-for-endpoints --otlp-traces-endpoint ' +
      '--uvicorn-log-level --limit-mm-per-prompt --task',
  ),
  ...plain(
    '--trust-remote-code --enforce-eager --enable-chunked-prefill --no-enable-chunked-prefill ' +
      '--enable-auto-tool-choice --enable-expert-parallel --enable-log-requests --disable-log-stats ' +
      '--disable-uvicorn-access-log --enable-sleep-mode',
  ),
]

/** Every flag by each of its spellings. */
export const FLAGS: ReadonlyMap<string, Flag> = new Map(
  ROWS.flatMap((row) => row.names.split('/').map((name) => [name, row] as const)),
)

function one<Value>(
  names: string,
  reader: ArgReader<Value>,
  set: (draft: Draft, value: Value) => void,
): Flag {
  return {
    names,
    most: reader.most,
    read: (values, draft) => reader.read(values, (value) => set(draft, value)),
  }
}

function valued(names: string): Flag[] {
  return names.split(' ').map((name) => one(name, text(), () => {}))
}

function plain(names: string): Flag[] {
  return names.split(' ').map((name) => one(name, flag(true), () => {}))
}
