import { useCallback, useEffect, useState } from 'react'
import { type Client, createClient } from '../api/client.ts'
import type { ModelObject, NodeObject, ReplicaObject } from '../api/objects.ts'
import { operations } from '../api/operations.ts'
import { isYardError } from '../base/errors.ts'
import type { Event } from '../domain/event.ts'

export interface ClusterState {
  readonly models: readonly ModelObject[]
  readonly replicas: readonly ReplicaObject[]
  readonly nodes: readonly NodeObject[]
  readonly events: readonly Event[]
}

export interface Live {
  readonly state: ClusterState | undefined
  /** Set while the server does not answer; the last state stays. */
  readonly stale: boolean
  /** Why the key can't be used, when it can't. */
  readonly refused: 'unauthenticated' | 'forbidden' | undefined
  readonly refresh: () => void
}

const REFRESH_MS = 2_000
const READ_TIMEOUT_MS = 10_000
const CHANGE_TIMEOUT_MS = 30_000

/** The deadline of one change that a person asks for. */
export function changeDeadline(): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(CHANGE_TIMEOUT_MS) }
}

/** A client of the control API on this page's own origin. */
export function clientOf(key: string): Client {
  return createClient({ fetch: (request) => fetch(request), baseUrl: location.origin, token: () => key })
}

/** Whether a key may read the cluster; asked once, before anything else is. */
export async function checkKey(
  key: string,
): Promise<'fine' | 'unauthenticated' | 'forbidden' | 'unreachable'> {
  // A header can't carry any other character, so no key has one.
  if (!/^[\x21-\x7e]+$/.test(key)) return 'unauthenticated'
  try {
    await clientOf(key).call(operations.listModels, {}, { signal: AbortSignal.timeout(READ_TIMEOUT_MS) })
    return 'fine'
  } catch (error) {
    return refusalOf(error) ?? 'unreachable'
  }
}

/** Reads the cluster again and again while the page is visible; keeps the last good state. */
export function useLive(client: Client): Live {
  const [state, setState] = useState<ClusterState>()
  const [stale, setStale] = useState(false)
  const [refused, setRefused] = useState<Live['refused']>()
  const [turn, setTurn] = useState(0)
  const refresh = useCallback(() => setTurn((count) => count + 1), [])

  // biome-ignore lint/correctness/useExhaustiveDependencies: `turn` is what asks for another reading at once.
  useEffect(() => {
    const stop = new AbortController()
    const read = async () => {
      try {
        const deadline = AbortSignal.timeout(READ_TIMEOUT_MS)
        setState(await readCluster(client, AbortSignal.any([stop.signal, deadline])))
        setStale(false)
      } catch (error) {
        if (stop.signal.aborted) return
        const refusal = refusalOf(error)
        if (refusal !== undefined) return setRefused(refusal)
        setStale(true)
      }
      if (!stop.signal.aborted)
        timer = setTimeout(() => void read(), document.hidden ? REFRESH_MS * 5 : REFRESH_MS)
    }
    let timer: ReturnType<typeof setTimeout> | undefined
    void read()
    return () => {
      stop.abort()
      clearTimeout(timer)
    }
  }, [client, turn])

  return { state, stale, refused, refresh }
}

function refusalOf(error: unknown): Live['refused'] {
  if (isYardError(error, 'unauthenticated')) return 'unauthenticated'
  return isYardError(error, 'forbidden') ? 'forbidden' : undefined
}

async function readCluster(client: Client, signal: AbortSignal): Promise<ClusterState> {
  const [models, replicas, nodes, events] = await Promise.all([
    client.call(operations.listModels, {}, { signal }),
    client.call(operations.listReplicas, {}, { signal }),
    client.call(operations.listNodes, {}, { signal }),
    client.call(operations.listEvents, { query: { limit: 100 } }, { signal }),
  ])
  return {
    models: models.items,
    replicas: replicas.items,
    nodes: nodes.items,
    events: [...events.items].reverse(),
  }
}
