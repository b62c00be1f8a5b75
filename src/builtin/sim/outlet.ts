import type { Clock, Timer } from '../../base/clock.ts'
import type { Reply } from './exchange.ts'
import type { RequestFaults } from './faults.ts'

/** Where the pieces of one answer go: to the reply, at once or as its request's faults allow. */
export interface Outlet {
  /** Adds a piece; `tokens` is how much output there is with it. Leaves at the next `flush`. */
  push(piece: string, tokens: number): void
  flush(): void
  /** Flushes, and ends the answer when all has left. */
  end(): void
}

export function createOutlet(reply: Reply, faults: RequestFaults, clock: Pick<Clock, 'after'>): Outlet {
  const hang = faults.get('ttft_hang')
  const stall = hang ? { ...hang, afterTokens: -1 } : faults.get('stall')
  const dripMs = faults.get('slow_drip')?.delayMs
  if (stall === undefined && dripMs === undefined) return plain(reply)
  return hindered(reply, clock, {
    dripMs,
    holdAfterTokens: stall === undefined ? Number.POSITIVE_INFINITY : (stall.afterTokens ?? 0),
    holdMs: stall?.durationMs,
  })
}

/** Cuts a body into pieces for a slow drip. */
export function pushBody(outlet: Outlet, body: string): void {
  for (const piece of body.match(/.{1,32}/gsu) ?? []) outlet.push(piece, Number.POSITIVE_INFINITY)
}

function plain(reply: Reply): Outlet {
  let pending = ''
  const flush = () => {
    if (pending === '') return
    reply.write(pending)
    pending = ''
  }
  return {
    push(piece) {
      pending += piece
    },
    flush,
    end() {
      flush()
      reply.end()
    },
  }
}

interface Hindrance {
  readonly dripMs: number | undefined
  readonly holdAfterTokens: number
  /** Undefined: held until the client leaves. */
  readonly holdMs: number | undefined
}

/** Pieces leave in order, each when neither the hold nor the drip stands in its way. */
function hindered(reply: Reply, clock: Pick<Clock, 'after'>, by: Hindrance): Outlet {
  const queue: { piece: string; tokens: number }[] = []
  let hold: 'ahead' | 'on' | 'over' = 'ahead'
  let ending = false
  let timer: Timer | undefined
  reply.onBroken(() => timer?.cancel())

  const wait = (delayMs: number, then: () => void) => {
    timer = clock.after(delayMs, () => {
      timer = undefined
      then()
      pump()
    })
  }
  const mustHold = (tokens: number) => {
    if (hold === 'ahead' && tokens > by.holdAfterTokens) {
      hold = 'on'
      if (by.holdMs !== undefined)
        wait(by.holdMs, () => {
          hold = 'over'
        })
    }
    return hold === 'on'
  }
  const pump = () => {
    while (timer === undefined && !reply.closed) {
      const [next] = queue
      if (next === undefined) {
        if (ending) reply.end()
        return
      }
      if (mustHold(next.tokens)) return
      queue.shift()
      reply.write(next.piece)
      if (by.dripMs !== undefined) wait(by.dripMs, () => {})
    }
  }

  return {
    push: (piece, tokens) => void queue.push({ piece, tokens }),
    flush: pump,
    end() {
      ending = true
      pump()
    },
  }
}
