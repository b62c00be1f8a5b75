import { randomBytes } from 'node:crypto'
import { systemClock } from '../base/clock.ts'
import { hashSecret, makeKey } from '../base/key-format.ts'
import { keyPepper, tables } from '../control/index.ts'
import type { Store } from '../store/index.ts'

const TTL_MS = 60_000

/** A join token for a machine in this very process, written to the store that it has open. Good once, for a minute. */
export async function localJoinToken(
  store: Store,
  pepper: string,
  role: 'agent' | 'gateway',
): Promise<string> {
  const { id, secret, text } = makeKey('yj', randomBytes)
  const nowMs = systemClock.now()
  const token = {
    id,
    hash: hashSecret(keyPepper(pepper), secret),
    role,
    usesLeft: 1,
    createdAtMs: nowMs,
    expiresAtMs: nowMs + TTL_MS,
  }
  await store.txn([], [tables.joinTokens.put(id, token)])
  return text
}
