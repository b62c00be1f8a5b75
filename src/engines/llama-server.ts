import type { ModelTemplate } from '../domain/model.ts'
import { deviceEnvironment } from './device-environment.ts'
import type { Command, Engine, HttpResult, Launch, ProbeVerdict } from './engine.ts'
import { type FlagValues, flagWords, withUserArgs } from './engine-args.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure } from './failure-classes.ts'
import { isObject, parseJson } from './json.ts'
import { LLAMA_CPP_FAILURES } from './llama-cpp-failures.ts'
import { LLAMA_SERVER_FLAGS } from './llama-flags.ts'
import { onceReady, whileLoading } from './probe-verdicts.ts'
import { progressReader } from './progress.ts'
import { readRerankBody } from './rerank.ts'
import { isGguf, type Problem, sourceOf, templateProblems } from './template-problems.ts'

/** llama.cpp's own server, 0.5.0 run (engines.md §3 and the conformance suite). */
export const llamaServer: Engine = {
  name: 'llama-server',
  deviceKinds: ['cuda', 'rocm', 'metal', 'cpu'],
  managed: true,
  sources: ['builtin', 'file', 'hf'],
  programs: ['llama-server'],
  lora: 'start',
  validate: (template) => [
    ...templateProblems(template, {
      engine: 'llama-server',
      sources: llamaServer.sources,
      lora: llamaServer.lora,
      flags: LLAMA_SERVER_FLAGS,
      adaptersNeedFields: true,
    }),
    ...fileProblems(template.source),
    ...adapterPathProblems(template),
  ],
  command: llamaServerCommand,
  readiness: { method: 'GET', path: '/health', timeoutMs: 5_000 },
  readReadiness: whileLoading,
  liveness: { method: 'GET', path: '/health', timeoutMs: 5_000, everyMs: 5_000, failuresToUnhealthy: 3 },
  readLiveness,
  progress: progressReader([
    [/load_model: loading model '([^']+)'/, 0.05, (path) => `loading ${path}`],
    [
      /load_tensors: +(\S+) model buffer size = +([\d.]+) MiB/,
      0.5,
      (where, size) => `${size} MiB of weights in ${where}`,
    ],
    [/initializing,? (?:slots, )?n_slots = (\d+)/, 0.9, (slots) => `preparing ${slots} slots`],
    [/(?:server is )?listening on http/, 1, () => 'started'],
  ]),
  classify: (exit, lines) => classifyFailure(exit, lines, LLAMA_CPP_FAILURES),
  // A first SIGTERM stops the loop that would finish requests in flight, so it may wait for them forever; a second
  // ends the process at once (engines.md §3.7).
  stop: [
    { signal: 'SIGTERM', waitMs: 5_000 },
    { signal: 'SIGTERM', waitMs: 5_000 },
    { signal: 'SIGKILL', waitMs: 5_000 },
  ],
  metrics: { method: 'GET', path: '/metrics', timeoutMs: 5_000 },
  readLoad: (text) => readEngineLoad('llama-server', text),
  version: {
    call: { method: 'GET', path: '/props', timeoutMs: 5_000 },
    read: (result) => {
      const answer = result.kind === 'answer' && result.status === 200 ? parseJson(result.body) : undefined
      return isObject(answer) && typeof answer.build_info === 'string' ? answer.build_info : undefined
    },
  },
  loadAdapter: () => undefined,
  unloadAdapter: () => undefined,
  // It answers any `model` with its base; which adapters apply is a field of its own, by position.
  adapterFields: ({ adapter, adapters }) => ({
    lora: adapters.map((name, id) => ({ id, scale: name === adapter ? 1 : 0 })),
  }),
  readRerank: readRerankBody,
}

const DEFAULT_SLOTS = 4

function llamaServerCommand(launch: Launch): Command {
  const local = launch.modelRef.startsWith('/')
  return {
    file: 'llama-server',
    argv: [
      ...(local ? ['--model', launch.modelRef, '--offline'] : ['--hf-repo', launch.modelRef]),
      '--alias',
      launch.servedName,
      '--host',
      launch.host,
      '--port',
      String(launch.port),
      ...contextWords(launch),
      '--metrics',
      // Slots show prompts; the built-in page is a second door.
      '--no-slots',
      '--no-webui',
      ...(launch.embeddings ? ['--embeddings'] : []),
      ...flagWords(LLAMA_SERVER_FLAGS, withUserArgs(derivedFlags(launch), launch.engineArgs)),
      ...hiddenDevices(launch),
      ...loraWords(launch.adapters),
    ],
    env: {
      ...deviceEnvironment(launch.devices),
      LLAMA_API_KEY: launch.credential,
      LLAMA_CACHE: `${launch.cacheDir}/llama.cpp`,
    },
  }
}

/** llama-server divides its context among its slots; without a number each may use all of it. */
function contextWords(launch: Launch): readonly string[] {
  const slots = launch.maxConcurrency ?? DEFAULT_SLOTS
  const total = (launch.contextTokens ?? 0) * slots
  return ['--ctx-size', String(total), '--parallel', String(slots)]
}

function derivedFlags(launch: Launch): FlagValues {
  const { devices, contextTokens } = launch
  const processors = onProcessors(launch)
  return {
    'kv-unified': contextTokens === undefined,
    threads: Math.max(1, launch.threads),
    'n-gpu-layers': processors ? '0' : '999',
    // What was planned is what is used: nothing is shrunk to what happens to be free, nor split by it.
    fit: 'off',
    ...(devices.length > 1 ? { 'tensor-split': devices.map(() => 1).join(',') } : {}),
    // Its prompt cache in main memory (8 GiB unless told) is in nobody's plan.
    'cache-ram': 0,
    // An input to be pooled must fit into one physical batch.
    ...(launch.embeddings && contextTokens !== undefined
      ? { 'batch-size': contextTokens, 'ubatch-size': contextTokens }
      : {}),
  }
}

/** A build with GPU support takes a context on a GPU even with no layer on it. */
function hiddenDevices(launch: Launch): readonly string[] {
  return onProcessors(launch) ? ['--device', 'none'] : []
}

function onProcessors(launch: Launch): boolean {
  return launch.devices.every((device) => device.kind === 'cpu')
}

/**
 * One comma-separated value, quoted as its reader wants it. Scale 0 keeps an adapter out of requests that do not ask
 * for it; `--lora-init-without-apply` does not (0.5.0: the base answers with the adapter).
 */
function loraWords(adapters: Launch['adapters']): readonly string[] {
  if (adapters.length === 0) return []
  const items = adapters.map(({ path }) =>
    /[,"]/.test(path) ? `"${path.replaceAll('"', '""')}:0"` : `${path}:0`,
  )
  return ['--lora-scaled', items.join(',')]
}

/** A sleeping model is loaded again by the next request; while it is, `/health` says so. */
function readLiveness(result: HttpResult): ProbeVerdict {
  if (result.kind === 'answer' && result.status === 503 && /loading model/i.test(result.body))
    return 'loading'
  return onceReady(result)
}

function fileProblems(text: string): readonly Problem[] {
  const source = sourceOf({ source: text })
  if (source?.kind === 'file' && !isGguf(source)) {
    return [
      { field: 'source', message: 'llama-server serves one .gguf file; name the file, not its directory' },
    ]
  }
  if (source?.kind === 'hf' && source.revision !== undefined) {
    return [
      { field: 'source', message: 'llama-server always takes the newest revision; leave @revision out' },
    ]
  }
  return []
}

/** `--lora-scaled` splits at colons and has no way to quote them. */
function adapterPathProblems({ adapters }: ModelTemplate): readonly Problem[] {
  return adapters.flatMap(({ source: text }, at) => {
    const source = sourceOf({ source: text })
    return source?.kind === 'file' && source.path.includes(':')
      ? [
          {
            field: `adapters.${at}.source`,
            message: 'llama-server takes no adapter whose path holds a colon',
          },
        ]
      : []
  })
}
