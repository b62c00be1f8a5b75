import { readFile } from 'node:fs/promises'
import { createClient } from '../api/client.ts'
import { operations } from '../api/operations.ts'
import { backoffMs } from '../base/backoff.ts'
import { systemClock } from '../base/clock.ts'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'
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

/** What a gateway shows to control, and the way there. */
export interface GatewayCredential {
  readonly key: () => string
  /** Joins again when control refuses the key (it was revoked, or the store set back), if there is a token for it. */
  readonly fetch: Fetch
}

const REJOIN_EVERY_MS = 30_000

/**
 * This gateway's key: as it was kept, else by registering with a join token. Waits for a server that can't be
 * reached. Fault: `unauthenticated` without a token, or with one that is not accepted.
 */
export async function joinAsGateway(join: GatewayJoin, signal: AbortSignal): Promise<GatewayCredential> {
  const known = (await readFile(join.keyFile, 'utf8').catch(() => undefined))?.trim()
  let key = known ? known : await register(join, signal)
  let triedAtMs = Number.NEGATIVE_INFINITY
  return {
    key: () => key,
    async fetch(request) {
      const response = await join.control.fetch(request)
      if (response.status === 401 && systemClock.monotonicMs() - triedAtMs >= REJOIN_EVERY_MS) {
        triedAtMs = systemClock.monotonicMs()
        try {
          key = await register(join, signal)
          join.log.info('gateway_rejoined')
        } catch (error) {
          join.log.error('gateway_key_refused', { problem: errorText(error) })
        }
      }
      return response
    },
  }
}

async function register(join: GatewayJoin, signal: AbortSignal): Promise<string> {
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
