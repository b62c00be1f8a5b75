import { operations } from '../api/operations.ts'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Connection } from './connection.ts'
import type { World } from './world.ts'

export interface LogRequest {
  readonly follow: boolean
  readonly previous: boolean
  readonly tail: number
}

const MAX_STREAMS = 8

/** Writes the lines of one replica, or of every replica of a model with the replica's name in front. */
export async function showLogs(
  world: World,
  connection: Connection,
  target: string,
  request: LogRequest,
): Promise<number> {
  const names = await replicasOf(connection, target)
  const stop = new AbortController()
  const release = world.onInterrupt(() => stop.abort())
  try {
    const results = await Promise.all(
      names.map((name) =>
        copyLines(
          world,
          connection,
          name,
          { ...request, prefix: names.length > 1 ? `${name} ` : '' },
          stop.signal,
        ).then(
          () => undefined,
          (error: unknown) => (stop.signal.aborted ? undefined : error),
        ),
      ),
    )
    const faults = results.filter((fault) => fault !== undefined)
    if (faults.length === names.length) throw faults[0]
    for (const fault of faults) world.stderr.write(`error: ${errorText(fault)}\n`)
    return stop.signal.aborted ? 130 : faults.length > 0 ? 9 : 0
  } finally {
    release()
  }
}

async function replicasOf({ client }: Connection, target: string): Promise<readonly string[]> {
  const [kind, rest] = target.includes('/') ? (target.split('/', 2) as [string, string]) : [undefined, target]
  if (kind === 'replica') return [rest]
  if (kind !== undefined && kind !== 'model')
    throw new YardError('usage', `logs of a ${kind} are not kept by the server`, {
      hint: 'name a model or a replica',
    })
  const { items } = await client.call(operations.listReplicas, { query: { model: rest } })
  if (items.length > 0) {
    if (items.length > MAX_STREAMS)
      throw new YardError(
        'usage',
        `"${rest}" has ${items.length} replicas, more than ${MAX_STREAMS} streams`,
        { hint: 'name one replica; see yard replica list' },
      )
    return items.map((item) => item.name)
  }
  const known = await client
    .call(operations.getReplica, { params: { name: rest } })
    .catch((error: unknown) => {
      if (isYardError(error, 'not_found') || isYardError(error, 'invalid_request')) return undefined
      throw error
    })
  if (known) return [known.name]
  const model = kind === 'model' ? rest : target
  throw new YardError('not_found', `no replica of "${model}" runs`, { hint: `see yard status ${model}` })
}

async function copyLines(
  world: World,
  { client }: Connection,
  name: string,
  request: LogRequest & { prefix: string },
  signal: AbortSignal,
): Promise<void> {
  const response = await client.stream(
    operations.replicaLogs,
    {
      params: { name },
      query: {
        tail: request.tail,
        follow: request.follow ? 'true' : 'false',
        previous: request.previous ? 'true' : 'false',
      },
    },
    { signal },
  )
  if (response.body === null) return
  const decoder = new TextDecoder()
  let held = ''
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    held += decoder.decode(chunk, { stream: true })
    const end = held.lastIndexOf('\n')
    if (end < 0) continue
    world.stdout.write(prefixed(held.slice(0, end + 1), request.prefix))
    held = held.slice(end + 1)
  }
  if (held !== '') world.stdout.write(`${prefixed(held, request.prefix)}\n`)
}

function prefixed(text: string, prefix: string): string {
  return prefix === '' ? text : text.replace(/^(?=.)/gm, prefix)
}
