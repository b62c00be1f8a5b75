import { readFile } from 'node:fs/promises'
import { createClient } from '../api/client.ts'
import { operations } from '../api/operations.ts'
import { backoffMs } from '../base/backoff.ts'
import { systemClock } from '../base/clock.ts'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { writePrivateFile } from '../base/private-file.ts'
import type { RemoteControl } from './remote-control.ts'

export interface GatewayJoin {
  readonly control: RemoteControl
  readonly keyFile: string
  readonly name: string
  readonly log: Log
  readonly joinToken: () => Promise<string | undefined>
}

/**
 * The key of this gateway: as it was kept, else by registering with a join token. Waits for a server that can't be
 * reached. Fault: `unauthenticated` without a token, or with one that is not accepted.
 */
export async function gatewayKey(join: GatewayJoin, signal: AbortSignal): Promise<string> {
  const known = await readFile(join.keyFile, 'utf8').catch(() => undefined)
  if (known !== undefined && known.trim() !== '') return known.trim()
  const client = createClient({ ...join.control, token: () => undefined })
  for (let attempt = 1; ; attempt++) {
    const joinToken = await join.joinToken()
    if (joinToken === undefined) {
      throw new YardError('unauthenticated', 'this gateway has not joined yet and has no join token', {
        hint: 'make one with `yard node join-token --role gateway` and give it with --join-token-file',
      })
    }
    try {
      const body = { joinToken, role: 'gateway', name: join.name, labels: {} } as const
      const { key } = await client.call(operations.register, { body }, { signal })
      await writePrivateFile(join.keyFile, `${key}\n`)
      return key
    } catch (error) {
      if (!isYardError(error) || !error.retryable) throw error
      const delayMs = backoffMs(attempt, { baseMs: 500, capMs: 15_000 }, Math.random)
      join.log.warn('join_delayed', { problem: errorText(error), retryInMs: Math.round(delayMs) })
      await systemClock.sleep(delayMs, signal)
    }
  }
}
