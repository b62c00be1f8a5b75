import type { Exchange, Reply } from './exchange.ts'
import type { SimState } from './sim-state.ts'

/** The reply of an exchange, known to the engine while it is open and counted in `http_requests` when it ends. */
export function trackedReply(exchange: Exchange, known: boolean, state: SimState): Reply {
  const { reply, path, method } = exchange
  const startMs = state.clock.monotonicMs()
  let status = 0
  const ended = () => {
    if (!state.openReplies.delete(tracked)) return
    // Only routes that exist become labels; anything else is a client's text.
    const durationMs = state.clock.monotonicMs() - startMs
    if (status > 0) state.metrics.served(known ? path : 'none', method, status, durationMs)
  }
  const tracked: Reply = {
    get closed() {
      return reply.closed
    },
    head(code, headers) {
      status = code
      reply.head(code, headers)
    },
    write: (chunk) => reply.write(chunk),
    end(chunk) {
      reply.end(chunk)
      ended()
    },
    cut() {
      reply.cut()
      ended()
    },
    onBroken: (run) => reply.onBroken(run),
  }
  state.openReplies.add(tracked)
  reply.onBroken(ended)
  return tracked
}
