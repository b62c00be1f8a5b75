import type { ModelTemplate } from '../domain/model.ts'
import { deviceEnvironment } from './device-environment.ts'
import type { Command, Engine, Launch } from './engine.ts'
import { flagWords } from './engine-args.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure, type ExitCodeReasons } from './failure-classes.ts'
import { LLAMA_CPP_FAILURES } from './failure-rules.ts'
import { isObject, parseJson } from './json.ts'
import { LLAMA_FLAGS } from './llama-flags.ts'
import { vllmLora } from './lora-calls.ts'
import { onceReady, whileLoading } from './probe-verdicts.ts'
import { progressReader } from './progress.ts'
import { readRerankBody } from './rerank.ts'
import { isGguf, type Problem, sourceOf, templateProblems } from './template-problems.ts'

/** llama.cpp inside our own program (`yard engine llama`): needs nothing installed, on processors only. */
export const llama: Engine = {
  name: 'llama',
  deviceKinds: ['cpu'],
  managed: true,
  sources: ['builtin', 'file'],
  programs: [],
  lora: 'runtime',
  validate: (template) => [
    ...templateProblems(template, {
      engine: 'llama',
      sources: llama.sources,
      lora: llama.lora,
      flags: LLAMA_FLAGS,
      mostConcurrency: 64,
    }),
    ...llamaProblems(template),
  ],
  command: llamaCommand,
  readiness: { method: 'GET', path: '/health', timeoutMs: 5_000 },
  readReadiness: whileLoading,
  liveness: { method: 'GET', path: '/health', timeoutMs: 5_000, everyMs: 5_000, failuresToUnhealthy: 3 },
  readLiveness: onceReady,
  progress: progressReader([
    [/loading .*?(\d{1,3}) ?%/i, (percent) => Number(percent) / 100, (percent) => `loading: ${percent} %`],
  ]),
  classify: (exit, lines) => classifyFailure(exit, lines, LLAMA_CPP_FAILURES, LLAMA_EXIT_CODES),
  stop: [
    { signal: 'SIGTERM', waitMs: 10_000 },
    { signal: 'SIGTERM', waitMs: 5_000 },
    { signal: 'SIGKILL', waitMs: 5_000 },
  ],
  metrics: { method: 'GET', path: '/metrics', timeoutMs: 5_000 },
  readLoad: (text) => readEngineLoad('llama', text),
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

/** Source: `LLAMA_EXIT` of the program. */
const LLAMA_EXIT_CODES: ExitCodeReasons = {
  1: { reason: 'invalid_model', message: 'the model or an adapter could not be loaded; see the last line' },
  2: {
    reason: 'bad_argument',
    message: 'the engine refuses its arguments; see its last line and correct engineArgs',
  },
  3: {
    reason: 'port_in_use',
    message:
      'the engine could not listen: its port is taken by another process on this node, or the host has no such address',
  },
  4: { reason: 'engine_failed', message: 'llama.cpp failed while it ran; see the last lines' },
}

const MOST_LORAS = 64

function llamaCommand(launch: Launch): Command {
  const [file, ...first] = launch.yardCommand
  return {
    file,
    argv: [
      ...first,
      'engine',
      'llama',
      `--model=${launch.modelRef}`,
      `--served-model-name=${launch.servedName}`,
      `--host=${launch.host}`,
      `--port=${launch.port}`,
      ...(launch.contextTokens === undefined ? [] : [`--ctx-size=${launch.contextTokens}`]),
      ...(launch.maxConcurrency === undefined ? [] : [`--parallel=${launch.maxConcurrency}`]),
      ...(launch.embeddings
        ? ['--embeddings']
        : launch.adapters.map(({ name, path }) => `--lora=${name}=${path}`)),
      ...flagWords(LLAMA_FLAGS, { ...derivedFlags(launch), ...launch.engineArgs }),
    ],
    env: { ...deviceEnvironment([]), YARD_ENGINE_KEY: launch.credential },
  }
}

/** Without a number of threads the program takes one for a small model, where more would only wait for each other. */
function derivedFlags({ adapters, embeddings }: Launch): Record<string, number | boolean> {
  if (adapters.length === 0 || embeddings) return {}
  return { 'runtime-lora': true, 'max-loras': Math.min(MOST_LORAS, Math.max(4, adapters.length)) }
}

function llamaProblems(template: ModelTemplate): readonly Problem[] {
  const problems: Problem[] = []
  const source = sourceOf(template)
  if (source?.kind === 'file' && !isGguf(source)) {
    problems.push({
      field: 'source',
      message:
        'llama serves one .gguf file; name the file, or use engine vllm for a directory of safetensors',
    })
  }
  if (source?.kind === 'builtin' && source.name === 'tiny-lora') {
    problems.push({ field: 'source', message: 'builtin:tiny-lora is an adapter; serve builtin:tiny with it' })
  }
  if (template.embeddings && template.adapters.length > 0) {
    problems.push({ field: 'adapters', message: 'a model that serves embeddings takes no adapters' })
  }
  if (template.contextTokens !== undefined && template.contextTokens > 4_194_304) {
    problems.push({ field: 'contextTokens', message: 'llama takes at most 4194304' })
  }
  if ((template.resources.devices ?? 1) > 1) {
    problems.push({
      field: 'resources.devices',
      message: 'llama runs on the processors of one machine; use engine llama-server for several devices',
    })
  }
  return problems
}
