import type { z } from 'zod'
import type { ModelLoad } from '../api/objects.ts'
import { YardError } from '../base/errors.ts'
import { EngineName } from '../domain/engine-name.ts'
import { ModelSpec, type ModelSpecInput } from '../domain/model.ts'
import { isName } from '../domain/names.ts'
import { parseSource, type Source } from '../domain/source.ts'
import { DEFAULT_ENGINE, nameOfSource } from '../domain/source-defaults.ts'
import type { Values } from './command.ts'
import { parseBytes, parseCount, parsePairs } from './units.ts'
import type { World } from './world.ts'

export interface LoadRequest {
  readonly name: string
  readonly body: z.infer<typeof ModelLoad>
}

/** What `yard load` asks of the API, from its words. Faults are `usage`, and name the flag. */
export async function specOf(
  world: World,
  reference: string,
  rest: readonly string[],
  options: Values,
): Promise<LoadRequest> {
  const text = await completePath(world, reference)
  if (!text.includes(':') && isName(text)) return { name: text, body: replicasOnly(options) }
  const source = parseSource(text)
  if (source.kind === 'invalid') throw new YardError('usage', source.message)
  const name = one(options, 'name') ?? nameOfSource(source)
  if (name === undefined || !isName(name)) {
    throw new YardError('usage', `"${name ?? reference}" can't be a name`, {
      hint: 'give one with --name: lower-case letters, digits, ".", "_" and "-"',
    })
  }
  const spec = ModelSpec.safeParse(inputOf(text, source, rest, options))
  if (!spec.success) {
    const [issue] = spec.error.issues
    throw new YardError(
      'usage',
      `${issue?.path.join('.') ?? 'the model'}: ${issue?.message ?? 'is not valid'}`,
    )
  }
  const labels = parsePairs(many(options, 'label'), '--label')
  // A count that nobody asked for must not scale a model that is loaded already.
  const { replicas: _, ...asked } = spec.data
  return {
    name,
    body: {
      spec: one(options, 'replicas') === undefined ? asked : spec.data,
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
    },
  }
}

/** A path that a person typed (`./x.gguf`, `/x.gguf`, `file:x.gguf`) as a `file:` source. */
async function completePath(world: World, reference: string): Promise<string> {
  if (reference.startsWith('file:')) return `file:${world.absolutePath(reference.slice(5))}`
  return /^\.{0,2}\//.test(reference) || /\.gguf$/i.test(reference)
    ? `file:${world.absolutePath(reference)}`
    : reference
}

function replicasOnly(options: Values): z.infer<typeof ModelLoad> {
  const text = one(options, 'replicas')
  return text === undefined ? {} : { replicas: parseCount(text, '--replicas', 1, 1000) }
}

function inputOf(text: string, source: Source, rest: readonly string[], options: Values): ModelSpecInput {
  const engine = engineOf(source, one(options, 'engine'))
  const count = (key: string, flag: string, least: number, most: number) => {
    const value = one(options, key)
    return value === undefined ? undefined : parseCount(value, flag, least, most)
  }
  const bytes = (key: string, flag: string) => {
    const value = one(options, key)
    return value === undefined ? undefined : parseBytes(value, flag)
  }
  const adapters = Object.entries(parsePairs(many(options, 'adapter'), '--adapter')).map(([name, from]) => ({
    name,
    source: from,
  }))
  const engineArgs = Object.fromEntries(
    Object.entries(parsePairs(many(options, 'engineArg'), '--engine-arg')).map(([key, value]) => [
      key,
      scalar(value),
    ]),
  )
  return dropAbsent({
    source: text,
    engine,
    replicas: count('replicas', '--replicas', 0, 1000),
    contextTokens: count('context', '--context', 16, 16_777_216),
    maxConcurrency: count('concurrency', '--concurrency', 1, 65_536),
    embeddings:
      options.embeddings === true || (source.kind === 'builtin' && source.name === 'tiny-embed')
        ? true
        : undefined,
    adapters,
    resources: dropAbsent({
      devices: count('gpus', '--gpus', 0, 64),
      deviceKind: one(options, 'deviceKind'),
      memoryBytes: bytes('memory', '--memory'),
      hostMemoryBytes: bytes('hostMemory', '--host-memory'),
    }),
    engineArgs,
    command: rest.length > 0 ? [...rest] : undefined,
    nodeSelector: parsePairs(many(options, 'nodeSelector'), '--node-selector'),
    strategy: one(options, 'strategy'),
    priority: count('priority', '--priority', -1000, 1000),
    externalModel: one(options, 'externalModel'),
    externalKeyEnv: one(options, 'externalKeyEnv'),
  }) as ModelSpecInput
}

function engineOf(source: Source, asked: string | undefined): EngineName {
  const engine = EngineName.safeParse(asked ?? DEFAULT_ENGINE[source.kind])
  if (engine.success) return engine.data
  throw new YardError('usage', `there is no engine "${asked}"`, {
    hint: `engines: ${EngineName.options.join(', ')}`,
  })
}

function scalar(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text
}

function one(options: Values, key: string): string | undefined {
  const value = options[key]
  return typeof value === 'string' ? value : undefined
}

function many(options: Values, key: string): readonly string[] {
  const value = options[key]
  return Array.isArray(value) ? value : []
}

function dropAbsent(record: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
}
