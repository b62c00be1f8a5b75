import type { ModelTemplate } from '../domain/model.ts'
import type { Engine, HttpResult, ProbeVerdict } from './engine.ts'
import { readEngineLoad } from './engine-metrics.ts'
import { classifyFailure } from './failure-classes.ts'
import { isSuccess } from './probe-verdicts.ts'
import { readRerankBody } from './rerank.ts'
import { type Problem, sourceOf, templateProblems } from './template-problems.ts'

/**
 * A service that somebody else runs. Nothing is placed, started or stopped; paths are relative to the source's URL
 * (`https://host/v1` + `/models`).
 */
export const external: Engine = {
  name: 'external',
  deviceKinds: [],
  managed: false,
  sources: ['external'],
  programs: [],
  lora: 'none',
  validate: (template) => [
    ...templateProblems(template, { engine: 'external', sources: external.sources, lora: external.lora }),
    ...urlProblems(template),
    ...placedProblems(template),
  ],
  command: () => ({ file: '', argv: [], env: {} }),
  readiness: { method: 'GET', path: '/models', timeoutMs: 10_000 },
  readReadiness: readReachable,
  liveness: { method: 'GET', path: '/models', timeoutMs: 10_000, everyMs: 30_000, failuresToUnhealthy: 3 },
  readLiveness: readReachable,
  progress: () => undefined,
  classify: (exit, lines) => classifyFailure(exit, lines, []),
  stop: [],
  metrics: undefined,
  readLoad: (text) => readEngineLoad('external', text),
  version: undefined,
  loadAdapter: () => undefined,
  unloadAdapter: () => undefined,
  readRerank: readRerankBody,
}

/** A service without a list of models (404, 405) or one that is busy (429) is there; a refused key is of no use. */
function readReachable(result: HttpResult): ProbeVerdict {
  if (result.kind !== 'answer') return 'unhealthy'
  return isSuccess(result.status) || [404, 405, 429].includes(result.status) ? 'ready' : 'unhealthy'
}

function urlProblems(template: ModelTemplate): readonly Problem[] {
  const source = sourceOf(template)
  if (source?.kind !== 'external') return []
  const host = (/^https?:\/\/(\[[^\]]*\]|[^:/]+)/i.exec(source.url)?.[1] ?? '').toLowerCase()
  const problems: Problem[] = []
  if (isMetadataHost(host)) {
    problems.push({
      field: 'source',
      message: `${host} is an address that machines ask for their own credentials; it serves no model`,
    })
  }
  if (/^http:/i.test(source.url) && template.externalKeyEnv !== undefined && !isPrivateHost(host)) {
    problems.push({
      field: 'externalKeyEnv',
      message: `the key would travel unencrypted to ${host}; use https://`,
    })
  }
  return problems
}

/** Link-local addresses, where cloud providers answer with credentials. */
function isMetadataHost(host: string): boolean {
  return (
    /^169\.254\.\d+\.\d+$/.test(host) ||
    /^\[(?:fe[89ab][0-9a-f]:|fd00:ec2::254|::ffff:(?:169\.254\.|a9fe:))/.test(host) ||
    /^metadata(?:\.google\.internal)?\.?$/.test(host)
  )
}

/** Loopback, private ranges and names that only a local network resolves. */
function isPrivateHost(host: string): boolean {
  return (
    /^(?:127|10)(?:\.\d{1,3}){3}$/.test(host) ||
    /^192\.168(?:\.\d{1,3}){2}$/.test(host) ||
    /^172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}$/.test(host) ||
    /^\[(?:::1|f[cd][0-9a-f]{2}:.*)\]$/.test(host) ||
    !host.includes('.') ||
    /\.(?:local|internal|lan|svc|cluster\.local)$/.test(host)
  )
}

function placedProblems(template: ModelTemplate): readonly Problem[] {
  const problems: Problem[] = []
  if ((template.resources.devices ?? 0) > 0 || template.resources.memoryBytes !== undefined) {
    problems.push({
      field: 'resources',
      message: 'nothing is placed for an external service; leave resources out',
    })
  }
  if (Object.keys(template.nodeSelector).length > 0) {
    problems.push({ field: 'nodeSelector', message: 'nothing is placed for an external service' })
  }
  return problems
}
