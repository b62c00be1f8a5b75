import type { ModelTemplate } from '../domain/model.ts'
import { deviceEnvironment } from './device-environment.ts'
import type { Command, Engine, Launch } from './engine.ts'
import { flagWords } from './engine-args.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure } from './failure-classes.ts'
import { isObject, parseJson } from './json.ts'
import { LLAMA_EXIT_CODES, LLAMA_FAILURES } from './llama-failures.ts'
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
    [/"event":"listening"/, 0.1, () => 'loading the model'],
    [/"event":"ready".*?"loadMs":(\d+)/, 1, (ms) => `loaded in ${ms} ms`],
  ]),
  classify: (exit, lines) => classifyFailure(exit, lines, LLAMA_FAILURES, LLAMA_EXIT_CODES),
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
