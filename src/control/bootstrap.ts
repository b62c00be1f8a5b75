import type { Clock } from '../base/clock.ts'
import type { Store } from '../store/store.ts'
import { mayManage } from './may-manage.ts'
import { newKey } from './new-key.ts'
import { ONLY, tables } from './records.ts'

/**
 * Makes the first key that may manage when there is none (or none that has not expired), and returns its text, which
 * is kept nowhere else; undefined when there is one. Two servers that start at once make one key between them.
 */
export async function bootstrapAdminKey(deps: {
  readonly store: Store
  readonly clock: Clock
  readonly randomBytes: (size: number) => Uint8Array
  /** Hex. */
  readonly pepper: string
}): Promise<string | undefined> {
  const { store, clock } = deps
  // Read before the keys: whoever makes one after this changes it.
  const marker = await store.get(tables.bootstrap.key(ONLY))
  const { entries } = await store.list(tables.keys.prefix)
  if (entries.some((entry) => mayManage(tables.keys.read(entry), clock.now()))) return undefined
  const { key, text } = newKey(deps, { name: 'bootstrap admin', scopes: ['manage', 'inference'] })
  const result = await store.txn(
    [{ key: tables.bootstrap.key(ONLY), modRevision: marker?.modRevision ?? 0 }],
    [tables.bootstrap.put(ONLY, { keyId: key.id, atMs: clock.now() }), tables.keys.put(key.id, key)],
  )
  return result.kind === 'committed' ? text : undefined
}
