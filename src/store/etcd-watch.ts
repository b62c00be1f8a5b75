import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { YardError } from '../base/errors.ts'
import type { Random } from '../base/random.ts'
import type { EtcdClient } from './etcd-client.ts'
import { etcdFault, isCompacted, isFutureRevision } from './etcd-faults.ts'
import type { EtcdKeys } from './etcd-keys.ts'
import { EVENT_DELETE, RANGE, WATCH, type WatchResponse } from './etcd-protocol.ts'
import { compacted } from './keyspace-store.ts'
import type { Change, ChangeSet } from './store.ts'

export interface EtcdWatchOptions {
  readonly client: EtcdClient
  readonly keys: EtcdKeys
  readonly clock: Clock
  readonly random: Random
  /** How long etcd may take to begin a watch. */
  readonly requestTimeoutMs: number
  /** How long the watch goes on trying, without any success, before it throws. */
  readonly giveUpMs: number
}

/**
 * A watch that outlives its streams: after a failure it goes on, on another member, right after the last
 * revision it delivered. Ends when the signal aborts.
 */
export async function* watchEtcd(
  options: EtcdWatchOptions,
  prefix: string,
  afterRevision: number,
  signal: AbortSignal,
): AsyncGenerator<ChangeSet> {
  const { clock, random, giveUpMs } = options
  let cursor = Math.max(afterRevision, 1)
  let failures = 0
  let refusals = 0
  let workedAtMs = clock.monotonicMs()
  while (!signal.aborted) {
    try {
      for await (const set of watchOnce(options, prefix, cursor, signal)) {
        failures = 0
        refusals = 0
        cursor = Math.max(cursor, set.revision)
        if (set.changes.length > 0) yield set
        if (signal.aborted) return
        workedAtMs = clock.monotonicMs()
      }
    } catch (error) {
      if (signal.aborted) return
      const fault = etcdFault(error)
      failures++
      if (isRefused(fault)) refusals++
      const hopeless = clock.monotonicMs() - workedAtMs > giveUpMs || refusals > MAX_REFUSALS
      if (fault.code !== 'store_unavailable' || hopeless) throw fault
      await clock.sleep(backoffMs(failures, { baseMs: 100, capMs: 5_000 }, random), signal).catch(() => {})
    }
  }
}

/** A refusal may be of an expired token; one more, of a token that an election or a restart has voided since. */
const MAX_REFUSALS = 2

/** One stream's worth. A set without changes says that all up to its revision has been delivered. */
async function* watchOnce(
  options: EtcdWatchOptions,
  prefix: string,
  afterRevision: number,
  signal: AbortSignal,
): AsyncGenerator<ChangeSet> {
  const { call, avoidMember, forgetToken } = await options.client.open(WATCH)
  const cancel = () => call.cancel()
  signal.addEventListener('abort', cancel, { once: true })
  const beginTimer = options.clock.after(options.requestTimeoutMs, cancel)
  try {
    if (signal.aborted) return
    const range = options.keys.range(prefix)
    const create = { ...range, start_revision: afterRevision + 1, progress_notify: true, fragment: true }
    call.write({ create_request: create })
    let events: WatchResponse['events'] = []
    for await (const response of call as AsyncIterable<WatchResponse>) {
      if (response.canceled) throw cancelled(response, afterRevision)
      if (response.created) {
        beginTimer.cancel()
        await assertRemembered(options, prefix, afterRevision)
        yield { revision: afterRevision, changes: [] }
        continue
      }
      events = events.length === 0 ? response.events : [...events, ...response.events]
      if (response.fragment) continue
      if (events.length === 0) yield { revision: Number(response.header.revision), changes: [] }
      else yield* changeSets(events, options.keys)
      events = []
    }
    throw new YardError('store_unavailable', 'etcd ended a watch.', { reason: 'watch_ended' })
  } catch (error) {
    const fault = etcdFault(error)
    // etcd 3.4 says the same to an expired token and to a missing permission: only a new token can tell.
    if (isRefused(fault)) forgetToken()
    else avoidMember()
    throw fault
  } finally {
    beginTimer.cancel()
    signal.removeEventListener('abort', cancel)
    call.cancel()
  }
}

/**
 * etcd refuses a watch that begins before its compacted revision, but not one that begins at it, and before
 * 3.4.36 and 3.5.18 it has then lost that revision's deletes. Reading just before the beginning tells.
 */
async function assertRemembered(
  { client, keys }: EtcdWatchOptions,
  prefix: string,
  afterRevision: number,
): Promise<void> {
  const request = { key: keys.range(prefix).key, revision: afterRevision, keys_only: true }
  try {
    await client.call(RANGE, request, { repeatable: true })
  } catch (error) {
    if (isCompacted(error)) throw compacted(afterRevision)
    if (!isFutureRevision(error)) throw error
  }
}

/** Events are in order, and those of one revision never come apart once fragments are put together. */
function* changeSets(events: WatchResponse['events'], keys: EtcdKeys): Generator<ChangeSet> {
  let changes: Change[] = []
  let revision = 0
  for (const { type, kv } of events) {
    const modRevision = Number(kv.mod_revision)
    if (modRevision !== revision) {
      if (changes.length > 0) yield { revision, changes }
      changes = []
      revision = modRevision
    }
    const key = keys.decode(kv.key)
    changes.push(
      type === EVENT_DELETE
        ? { kind: 'delete', key, modRevision }
        : {
            kind: 'put',
            key,
            value: kv.value.toString('utf8'),
            modRevision,
            createRevision: Number(kv.create_revision),
          },
    )
  }
  if (changes.length > 0) yield { revision, changes }
}

function cancelled(response: WatchResponse, afterRevision: number): YardError {
  if (Number(response.compact_revision) > 0) return compacted(afterRevision)
  const refused = /permission denied|auth/.test(response.cancel_reason)
  return new YardError('store_unavailable', `etcd cancelled a watch: ${response.cancel_reason}.`, {
    reason: refused ? 'refused' : 'watch_cancelled',
    hint: refused ? 'Check that the etcd user may read the key prefix.' : 'Check the logs of etcd.',
  })
}

function isRefused(fault: YardError): boolean {
  return fault.reason === 'refused'
}
