import { type Client, createClient } from '../api/client.ts'
import { operations } from '../api/operations.ts'
import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'
import { ModelSpec } from '../domain/model.ts'

const POLL_MS = 50
const LONGEST_MS = 120_000

/** Loads `tiny` and waits until it is ready, telling how far it is. Faults: `engine_failed`, `timed_out`. */
export async function loadFirstModel(
  deps: { control: { baseUrl: string; fetch: Fetch }; adminKey: string; clock: Clock },
  tell: (text: string) => void,
): Promise<void> {
  const { clock } = deps
  const client: Client = createClient({ ...deps.control, token: () => deps.adminKey })
  const spec = ModelSpec.parse({ source: 'builtin:tiny', engine: 'llama' })
  tell('loading the built-in model tiny')
  await client.call(operations.loadModel, { params: { name: 'tiny' }, body: { spec } })
  const deadlineMs = clock.monotonicMs() + LONGEST_MS
  for (;;) {
    const { status } = await client.call(operations.getModel, { params: { name: 'tiny' } })
    if (status.phase === 'ready') return
    const why = status.message ?? status.reason ?? status.phase
    if (status.phase === 'failed')
      throw new YardError('engine_failed', `tiny did not start: ${why}`, { hint: 'see yard logs tiny' })
    if (clock.monotonicMs() > deadlineMs)
      throw new YardError('timed_out', `tiny is not ready yet: ${why}`, {
        hint: 'watch it with yard status tiny',
      })
    tell(`loading the built-in model tiny: ${why}`)
    await clock.sleep(POLL_MS)
  }
}
