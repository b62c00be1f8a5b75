import type { Clock } from '../../src/base/clock.ts'
import type { Fetch } from '../../src/base/fetch.ts'
import type { Random } from '../../src/base/random.ts'
import type { SimProcess } from './sim-process.ts'

/** The way between one machine and the servers. */
export interface Link {
  /** What it sends is lost. */
  toControl: 'up' | 'lost' | 'refused'
  /** What it is answered is lost. */
  fromControl: 'up' | 'lost'
  beats: 'up' | 'lost'
  /** Longest way of a request, and of an answer; a short one may overtake a long one. */
  mostMs: number
}

export function openLink(): Link {
  return { toControl: 'up', fromControl: 'up', beats: 'up', mostMs: 5 }
}

export interface Reachable {
  readonly process: SimProcess
  readonly fetch: Fetch
}

/**
 * How a client reaches the servers, by turns or by chance: a load balancer that knows which of them are dead, not
 * which stand still.
 * What is lost is lost without a word; the client's own deadline ends its waiting.
 */
export function networkFetch(deps: {
  readonly clock: Clock
  readonly random: Random
  readonly client: SimProcess
  readonly link: Link
  readonly servers: () => readonly Reachable[]
  /**
   * Requests under way, kept where they can be reached: one that waits for an answer that never comes is reached by
   * nothing else, so it would be collected, and would never learn that its caller gave up.
   */
  readonly held: Set<Request>
}): Fetch {
  const { clock, random, client, link, held } = deps
  const byTurns = random() < 0.5
  let turn = 0
  const send: Fetch = async (request) => {
    await client.gate()
    const isBeat = request.url.endsWith('/heartbeat')
    await clock.sleep(1 + random() * link.mostMs)
    if (link.toControl === 'refused') throw new TypeError('fetch failed')
    if (link.toControl === 'lost' || (isBeat && link.beats === 'lost')) return lost(request.signal)
    const servers = deps.servers()
    const at = byTurns ? turn++ : Math.floor(random() * servers.length)
    const server = servers[at % servers.length]
    if (server === undefined) throw new TypeError('fetch failed')
    const answering = server.process.gate().then(() => server.fetch(request))
    const response = await Promise.race([answering, lost(request.signal)])
    await server.process.gate()
    await clock.sleep(1 + random() * link.mostMs)
    if (link.fromControl === 'lost') return lost(request.signal)
    await client.gate()
    return response
  }
  return async (request) => {
    held.add(request)
    try {
      return await send(request)
    } finally {
      held.delete(request)
    }
  }
}

/** Never comes; ends when the one who waits gives up. */
function lost(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const give = () => reject(signal.reason)
    if (signal.aborted) give()
    else signal.addEventListener('abort', give, { once: true })
  })
}
