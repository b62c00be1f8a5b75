import type { ModelTemplate } from '../domain/model.ts'
import { deviceEnvironment } from './device-environment.ts'
import type { Command, Engine, HttpResult, Launch, ProbeVerdict } from './engine.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure } from './failure-classes.ts'
import { isSuccess } from './probe-verdicts.ts'
import { readRerankBody } from './rerank.ts'
import { SYSTEM_FAILURES } from './system-failures.ts'
import { type Problem, templateProblems } from './template-problems.ts'

/**
 * Any program that serves an OpenAI-compatible API. It is told where to listen by placeholders in its arguments or by
 * `HOST` and `PORT`, and may ask for the key in `YARD_ENGINE_KEY`. It is ready when `GET /health`, or where there is
 * no such path `GET /v1/models`, is answered with success.
 */
export const command: Engine = {
  name: 'command',
  deviceKinds: [],
  managed: true,
  sources: ['command'],
  programs: [],
  lora: 'none',
  validate: (template) => [
    ...templateProblems(template, { engine: 'command', sources: command.sources, lora: command.lora }),
    ...placeholderProblems(template),
  ],
  command: programCommand,
  readiness: { method: 'GET', path: '/health', timeoutMs: 5_000 },
  fallbackProbe: { method: 'GET', path: '/v1/models', timeoutMs: 5_000 },
  readReadiness,
  liveness: { method: 'GET', path: '/health', timeoutMs: 5_000, everyMs: 10_000, failuresToUnhealthy: 3 },
  readLiveness: (result) => (result.kind === 'answer' && isSuccess(result.status) ? 'ready' : 'unhealthy'),
  progress: () => undefined,
  classify: (exit, lines) => classifyFailure(exit, lines, SYSTEM_FAILURES),
  stop: [
    { signal: 'SIGTERM', waitMs: 10_000 },
    { signal: 'SIGKILL', waitMs: 5_000 },
  ],
  metrics: { method: 'GET', path: '/metrics', timeoutMs: 5_000 },
  readLoad: (text) => readEngineLoad('command', text),
  version: undefined,
  loadAdapter: () => undefined,
  unloadAdapter: () => undefined,
  readRerank: readRerankBody,
}

/**
 * 404 and 405 mean that the path is not there (yet): the fallback is asked, and where that is missing too the program
 * counts as loading, until its start has taken too long. 401 and 403 mean that it wants another key than ours, with
 * which it can't be used.
 */
function readReadiness(result: HttpResult): ProbeVerdict {
  if (result.kind !== 'answer') return 'loading'
  if (isSuccess(result.status)) return 'ready'
  return [404, 405, 425, 503].includes(result.status) ? 'loading' : 'unhealthy'
}

/** The only words in braces that are filled in. */
const PLACEHOLDER = /\{(port|host|name)\}/g
const LIKELY_PLACEHOLDER = /\{([a-z][a-z_-]*)\}/g

function programCommand(launch: Launch): Command {
  const values: Readonly<Record<string, string>> = {
    port: String(launch.port),
    host: launch.host,
    name: launch.servedName,
  }
  return {
    file: launch.modelRef,
    argv: (launch.command ?? []).map((word) =>
      word.replace(PLACEHOLDER, (whole, name: string) => values[name] ?? whole),
    ),
    env: {
      ...deviceEnvironment(launch.devices),
      HOST: launch.host,
      PORT: String(launch.port),
      YARD_ENGINE_KEY: launch.credential,
    },
  }
}

function placeholderProblems(template: ModelTemplate): readonly Problem[] {
  return (template.command ?? []).flatMap((word, at) => {
    const field = `command.${at}`
    if (word.includes('\0')) return [{ field, message: 'an argument can hold no NUL character' }]
    return [...word.matchAll(LIKELY_PLACEHOLDER)]
      .map((match) => match[1] ?? '')
      .filter((name) => !['port', 'host', 'name'].includes(name))
      .map((name) => ({ field, message: `there is no {${name}}; there are {port}, {host} and {name}` }))
  })
}
