import type { Client } from '../api/client.ts'
import type { NodeWork } from '../api/objects.ts'
import { operations } from '../api/operations.ts'
import { backoffMs } from '../base/backoff.ts'
import type { Clock } from '../base/clock.ts'
import { errorText, isYardError, YardError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { within } from '../base/within.ts'
import type { SourceReport } from '../domain/facts.ts'
import type { NodeStatus } from '../domain/node.ts'
import type { ReplicaStatus } from '../domain/replica.ts'
import { createPulse } from './pulse.ts'
import { untilAborted } from './until-aborted.ts'

const FIRST_BEAT_MS = 3_000
const BEAT_TIMEOUT_MS = 10_000
/** Changes within this time go out together. */
const COALESCE_MS = 100
const POLL_WAIT_MS = 25_000
/** An answer older than one before it is not acted on for this long. */
const BEHIND_MS = 60_000
/** How long a node waits before it asks again with a credential that was refused. */
const REFUSED_MS = 15_000

export interface ControlLinkDeps {
  readonly client: Client
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly node: () => string
  readonly agentId: string
  readonly agentUrl: () => string
  readonly report: () => Promise<{ readonly status: NodeStatus; readonly replicas: ReplicaStatus[] }>
  readonly onWork: (work: NodeWork) => Promise<void>
  /** The credential was refused, or the node is not known: get another one if that is possible. */
  readonly rejoin: (signal: AbortSignal) => Promise<boolean>
}

/** The agent's side of its talk with control: it reports, and it asks what to do. Control never calls first. */
export interface ControlLink {
  /** Something changed that control should hear of soon. */
  reportSoon(): void
  reportSource(source: string, report: SourceReport, signal: AbortSignal): Promise<void>
  /** Until `signal` aborts. Control may be away for as long as it likes. Fault: `conflict`, when this node's name was given to another agent. */
  run(signal: AbortSignal): Promise<void>
}

export function createControlLink(deps: ControlLinkDeps): ControlLink {
  const { client, clock, log, random } = deps
  const pulse = createPulse(clock)

  /** A call that ends, also when neither answer nor error comes. */
  const call = async <Result>(
    timeoutMs: number,
    signal: AbortSignal,
    make: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> => {
    const late = new AbortController()
    try {
      const both = AbortSignal.any([signal, late.signal])
      return await within(clock, timeoutMs, untilAborted(both, make(both)), 'the server did not answer')
    } finally {
      late.abort()
    }
  }

  const beat = async (signal: AbortSignal): Promise<number> => {
    const { status, replicas } = await deps.report()
    const body = { agentId: deps.agentId, agentUrl: deps.agentUrl(), status, replicas }
    const answer = await call(BEAT_TIMEOUT_MS, signal, (both) =>
      client.call(operations.heartbeat, { params: { name: deps.node() }, body }, { signal: both }),
    )
    return Math.min(60_000, Math.max(250, answer.nextBeatMs))
  }

  const beats = async (signal: AbortSignal) => {
    let beatMs = FIRST_BEAT_MS
    let failures = 0
    while (!signal.aborted) {
      try {
        beatMs = await beat(signal)
        if (failures > 0) log.info('control_reached', { afterFailures: failures })
        failures = 0
        await pulse.wait(beatMs, signal)
        await clock.sleep(COALESCE_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        if (isYardError(error, 'conflict')) throw supplanted(deps.node(), error)
        failures++
        // Once is chance, and a server that is away for hours needs no line a second.
        if (failures === 2 || failures % 100 === 0) {
          log.warn('control_unreachable', { failures, problem: errorText(error) })
        }
        const joined = isRefusal(error) && (await deps.rejoin(signal))
        const delayMs = isRefusal(error)
          ? joined && failures === 1
            ? COALESCE_MS
            : REFUSED_MS
          : Math.min(beatMs, backoffMs(failures, { baseMs: 500, capMs: 5_000 }, random))
        await clock.sleep(delayMs, signal)
      }
    }
  }

  const polls = async (signal: AbortSignal) => {
    let after = 0
    let failures = 0
    let behindSinceMs: number | undefined
    while (!signal.aborted) {
      const askedAtMs = clock.monotonicMs()
      try {
        const work = await call(POLL_WAIT_MS + BEAT_TIMEOUT_MS, signal, (both) =>
          client.call(
            operations.nodeWork,
            { params: { name: deps.node() }, query: { after, waitMs: POLL_WAIT_MS } },
            { signal: both },
          ),
        )
        failures = 0
        if (work.revision < after) {
          behindSinceMs ??= askedAtMs
          // One of several servers may lag; when all of them do for so long, their store was set back.
          if (askedAtMs - behindSinceMs < BEHIND_MS) {
            await clock.sleep(1_000, signal)
            continue
          }
        }
        behindSinceMs = undefined
        await deps.onWork(work)
        // A server that does not hold the question back would be asked without pause.
        const atOnce = work.revision === after && clock.monotonicMs() - askedAtMs < 1_000
        after = work.revision
        if (atOnce) await clock.sleep(1_000, signal)
      } catch (error) {
        if (signal.aborted) return
        failures++
        const delayMs = backoffMs(failures, { baseMs: 500, capMs: 10_000 }, random)
        log.debug('work_not_known', { failures, problem: errorText(error) })
        await clock.sleep(isRefusal(error) ? Math.max(delayMs, 2_000) : delayMs, signal)
      }
    }
  }

  return {
    reportSoon: () => pulse.wake(),
    async reportSource(source, report, signal) {
      await call(BEAT_TIMEOUT_MS, signal, (both) =>
        client.call(
          operations.reportSource,
          { params: { name: deps.node() }, body: { source, report } },
          { signal: both },
        ),
      )
    },
    async run(signal) {
      await Promise.all([quietly(signal, beats(signal)), quietly(signal, polls(signal))])
    },
  }
}

/** The end that was asked for is no fault. */
async function quietly(signal: AbortSignal, work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}

function isRefusal(error: unknown): boolean {
  return (
    isYardError(error, 'unauthenticated') ||
    isYardError(error, 'forbidden') ||
    isYardError(error, 'not_found')
  )
}

function supplanted(node: string, cause: unknown): YardError {
  return new YardError('conflict', `another agent reports as node "${node}"`, {
    hint: 'two machines have the same name, or this data directory was copied; give one of them another --name',
    cause,
  })
}
