import { within } from '../../base/within.ts'
import { ModelTemplate } from '../../domain/model.ts'
import type { Assignment, Failure } from '../../domain/replica.ts'
import type { Command, Engine, Launch } from '../../engines/engine.ts'
import type { LocatedModel, Unusable } from '../sources/model-files.ts'
import { failureFor } from './failures.ts'
import type { ReplicaDeps } from './replica-deps.ts'

export type Prepared =
  | {
      readonly kind: 'prepared'
      readonly engine: Engine
      readonly command: Command
      readonly launch: Launch
    }
  | { readonly kind: 'failed'; readonly failure: Failure }

/** A network file system may hang; a model file is read in much less. */
const LOCATE_TIMEOUT_MS = 120_000

/**
 * Makes an engine's command from an assignment, after checking all that can be checked before it runs: that this node
 * may run it, that its arguments are allowed (control has checked them too, but it is not this machine's owner), that
 * its devices are there and healthy, that its files are sound, and that its port is free. For an engine that runs
 * already (`running`), its devices and its port are not asked about again.
 */
export async function prepareLaunch(
  assignment: Assignment,
  deps: ReplicaDeps,
  { running }: { readonly running: boolean } = { running: false },
): Promise<Prepared> {
  const engine = deps.engineOf(assignment.engine)
  if (!engine?.managed) {
    return failed(
      'not_allowed',
      `this agent can't run engine ${assignment.engine}; upgrade it, or use another engine`,
    )
  }
  if (engine.name === 'command' && !deps.allowCommand) {
    return failed(
      'not_allowed',
      'this node does not start programs of its own; start its agent with --allow-command to allow engine command',
    )
  }
  const problem = templateProblem(assignment, engine)
  if (problem !== undefined) return failed('bad_argument', problem)
  const unread = await deps.deviceProblems()
  const known = new Map(deps.devices().map((device) => [device.id, device]))
  const devices = []
  for (const id of assignment.deviceIds) {
    const device = known.get(id)
    if (running && !device?.healthy) continue
    if (device === undefined) return { kind: 'failed', failure: missingDevice(id, unread) }
    if (!device.healthy)
      return failed('device_fault', `device ${id} is not healthy: ${device.problem ?? 'unknown'}`)
    devices.push(device)
  }
  const model = await locate(deps, assignment.source)
  if (model.kind !== 'located') return failed(...unusable(model))
  if (model.facts?.isAdapter)
    return failed('invalid_model', `${assignment.source} is an adapter, not a model`)
  const adapters = []
  for (const { name, source } of assignment.adapters) {
    const found = await locate(deps, source)
    if (found.kind === 'missing') return failed('missing_file', `adapter ${name}: ${found.message}`)
    if (found.kind === 'invalid') return failed('invalid_adapter', `adapter ${name}: ${found.message}`)
    if (found.facts?.isAdapter === false) {
      return failed('invalid_adapter', `adapter ${name}: ${source} is a model, not an adapter`)
    }
    adapters.push({ name, path: found.modelRef, ...(found.rank === undefined ? {} : { rank: found.rank }) })
  }
  if (!running && !(await deps.ports.isFree(assignment.port))) {
    return failed('port_in_use', `port ${assignment.port} is in use by another program on this node`)
  }
  const launch: Launch = {
    servedName: assignment.model,
    modelRef: model.modelRef,
    host: '127.0.0.1',
    port: assignment.port,
    devices,
    bytesPerDevice: assignment.bytesPerDevice,
    adapters,
    engineArgs: assignment.engineArgs,
    credential: assignment.credential,
    yardCommand: deps.yardCommand,
    cacheDir: deps.disk.cacheDir,
    threads: deps.threads,
    ...(model.revision === undefined ? {} : { revision: model.revision }),
    ...(assignment.contextTokens === undefined ? {} : { contextTokens: assignment.contextTokens }),
    ...(assignment.maxConcurrency === undefined ? {} : { maxConcurrency: assignment.maxConcurrency }),
    ...(assignment.embeddings === undefined ? {} : { embeddings: assignment.embeddings }),
    ...(assignment.command === undefined ? {} : { command: assignment.command }),
  }
  return { kind: 'prepared', engine, command: engine.command(launch), launch }
}

/** A device that is not listed may be behind a driver that has yet to come up: then it is waited for. */
function missingDevice(id: string, unread: readonly string[]): Failure {
  const [problem] = unread
  return problem === undefined
    ? failureFor('device_missing', `this node has no device ${id} any more`)
    : {
        ...failureFor('device_missing', `device ${id} is not there: ${problem}`),
        retryable: true,
        deviceFault: false,
      }
}

/** What is wrong with the template that an assignment was made from, by the engine's own rules. */
function templateProblem(assignment: Assignment, engine: Engine): string | undefined {
  const template = ModelTemplate.safeParse({
    source: assignment.source,
    engine: assignment.engine,
    contextTokens: assignment.contextTokens,
    maxConcurrency: assignment.maxConcurrency,
    embeddings: assignment.embeddings,
    adapters: assignment.adapters,
    resources: { devices: assignment.deviceIds.length },
    engineArgs: assignment.engineArgs,
    command: assignment.command,
  })
  if (!template.success) {
    const issue = template.error.issues[0]
    return `${issue?.path.join('.') ?? 'the assignment'}: ${issue?.message ?? 'is not valid'}`
  }
  const problem = engine.validate(template.data)[0]
  return problem && `${problem.field}: ${problem.message}`
}

async function locate(deps: ReplicaDeps, source: string): Promise<LocatedModel | Unusable> {
  return within(
    deps.clock,
    LOCATE_TIMEOUT_MS,
    deps.models.locate(source),
    `${source} could not be read`,
  ).catch((error: Error) => ({ kind: 'missing' as const, message: error.message }))
}

function unusable(found: Unusable): [string, string] {
  return [found.kind === 'missing' ? 'missing_file' : 'invalid_model', found.message]
}

function failed(reason: string, message: string): Prepared {
  return { kind: 'failed', failure: failureFor(reason, message) }
}
