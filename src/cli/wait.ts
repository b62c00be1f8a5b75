import type { Client } from '../api/client.ts'
import type { ModelObject, ReplicaObject } from '../api/objects.ts'
import { operations } from '../api/operations.ts'
import { type ErrorCode, isYardError, YardError } from '../base/errors.ts'
import type { GlobalValues } from './command.ts'
import { rejectionTable } from './model-text.ts'
import { Progress } from './progress.ts'
import type { World } from './world.ts'

const DEFAULT_TIMEOUT_MS = 600_000
const POLL_MS = 250
/** How long nothing may fit before the wait gives up: a node may be joining just now. */
const NO_FIT_PATIENCE_MS = 3_000

/**
 * Waits until a model is ready, stopped or gone, telling on stderr how far it is. Faults: `engine_failed` or
 * `source_invalid` with the engine's own words, `nothing_fits` with the table, `timed_out`, `interrupted`. What
 * was asked goes on in each case.
 */
export async function waitForModel(
  world: World,
  globals: GlobalValues,
  client: Client,
  name: string,
  until: 'ready' | 'stopped' | 'gone',
  generation = 0,
): Promise<ModelObject | undefined> {
  const deadlineMs = world.clock.monotonicMs() + (globals.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const progress = new Progress(world, globals.quiet)
  const stopped = new AbortController()
  const release = world.onInterrupt(() => stopped.abort())
  let noFitSinceMs: number | undefined
  let last = 'nothing known yet'
  try {
    for (;;) {
      const model = await readModel(client, name)
      if (model === undefined) {
        if (until === 'gone') return undefined
        throw new YardError('not_found', `model "${name}" is gone`, {
          hint: 'somebody deleted it; see `yard events`',
        })
      }
      const { items: replicas } = await client.call(operations.listReplicas, { query: { model: name } })
      last = describe(model, replicas)
      progress.show(last)
      const fresh = model.status.observedGeneration >= generation
      if (fresh && until === 'ready' && model.status.phase === 'ready') return model
      if (fresh && until === 'stopped' && model.status.phase === 'stopped' && replicas.length === 0)
        return model
      if (fresh && until === 'ready') {
        if (model.status.phase === 'failed') throw failureOf(model, replicas)
        const now = world.clock.monotonicMs()
        noFitSinceMs = model.status.rejections.length > 0 ? (noFitSinceMs ?? now) : undefined
        if (noFitSinceMs !== undefined && now - noFitSinceMs >= NO_FIT_PATIENCE_MS) {
          progress.end()
          world.stderr.write(rejectionTable(model.status.rejections))
          throw new YardError('nothing_fits', model.status.message ?? `no node has room for "${name}"`, {
            hint: `it stays pending and starts when room appears; to give up: yard model delete ${name}`,
          })
        }
      }
      if (world.clock.monotonicMs() >= deadlineMs) {
        throw new YardError('timed_out', `"${name}" is not ${until} yet (${last})`, {
          hint: `it goes on; watch it with: yard status ${name}`,
        })
      }
      await world.clock.sleep(POLL_MS, stopped.signal)
    }
  } catch (error) {
    if (!stopped.signal.aborted) throw error
    throw new YardError('interrupted', `stopped watching; "${name}" goes on (${last})`, {
      hint: `watch: yard status ${name}   undo: yard unload ${name}`,
    })
  } finally {
    progress.end()
    release()
  }
}

async function readModel(client: Client, name: string): Promise<ModelObject | undefined> {
  return client.call(operations.getModel, { params: { name } }).catch((error: unknown) => {
    if (isYardError(error, 'not_found')) return undefined
    throw error
  })
}

/** One line that says how far a model is. */
function describe(model: ModelObject, replicas: readonly ReplicaObject[]): string {
  const counts = new Map<string, number>()
  for (const item of replicas) {
    const phase = item.status?.phase ?? (item.placement ? 'placed' : 'pending')
    counts.set(phase, (counts.get(phase) ?? 0) + 1)
  }
  const loading = replicas.find(
    (item) => item.status?.phase === 'starting' || item.status?.phase === 'pulling',
  )?.status
  const percent = loading?.progress === undefined ? '' : ` ${Math.round(loading.progress * 100)}%`
  const detail = model.status.phase === 'ready' ? '' : (loading?.message ?? model.status.message ?? '')
  const phases = [...counts].map(([phase, count]) => `${count} ${phase}`).join(', ')
  return `${model.name}: ${model.status.phase}${phases === '' ? '' : ` (${phases}${percent})`}${detail === '' ? '' : `: ${detail}`}`
}

function failureOf(model: ModelObject, replicas: readonly ReplicaObject[]): YardError {
  const failure = replicas.find((item) => item.status?.failure)?.status?.failure
  const lines = failure?.lastLines.slice(-12) ?? []
  const words =
    lines.length === 0 ? '' : `\nthe engine's last lines:\n${lines.map((line) => `  ${line}`).join('\n')}`
  const { code, hint } = adviceFor(model)
  return new YardError(
    code,
    `${model.status.message ?? failure?.message ?? `"${model.name}" failed`}${words}`,
    {
      ...(model.status.reason === undefined ? {} : { reason: model.status.reason }),
      hint,
    },
  )
}

/** What to call a model's final failure, and what to do. Where its need or its files are at fault, no engine has run. */
function adviceFor({ name, status }: ModelObject): { code: ErrorCode; hint: string } {
  if (status.reason === 'footprint_unknown') {
    return {
      code: 'footprint_unknown',
      hint: `yard model delete ${name}, then load it again with --memory (and --gpus)`,
    }
  }
  if (status.reason?.startsWith('source')) {
    return {
      code: 'source_invalid',
      hint: `put it right and it starts by itself within half a minute; to give up: yard model delete ${name}`,
    }
  }
  return { code: 'engine_failed', hint: `see yard logs ${name} and yard events --for model/${name}` }
}
