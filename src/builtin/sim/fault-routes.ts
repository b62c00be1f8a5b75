import { badRequest, sendError, sendJson } from './exchange.ts'
import { readFaults } from './faults.ts'
import type { Route, Serve } from './serve.ts'
import type { SimState } from './sim-state.ts'

/**
 * `/admin/fault`: GET lists the faults in force, POST adds one fault or `{"faults": [...]}` (the kinds and
 * their fields are in faults.ts), DELETE clears all. The engine's key guards it. Faults of the whole server,
 * `connect_refuse` and a `crash` without `afterTokens`, happen right after the answer.
 */
export function faultRoutes(state: SimState): Route[] {
  const { faults } = state
  const list = () => ({ faults: faults.list() })
  const show: Serve = ({ reply }) => sendJson(reply, 200, list())
  const clear: Serve = (exchange) => {
    faults.clear()
    state.staleMetrics = undefined
    show(exchange)
  }
  const add: Serve = ({ reply, body }) => {
    const read = readFaults(parsed(body))
    if (typeof read === 'string') {
      sendError(reply, badRequest(read))
      return
    }
    const refuse = read.find(({ kind }) => kind === 'connect_refuse')
    const crash = read.find(({ kind, afterTokens }) => kind === 'crash' && afterTokens === undefined)
    faults.add(read.filter((fault) => fault !== crash && fault.kind !== 'connect_refuse'))
    if (read.some(({ kind }) => kind === 'metrics_stale'))
      state.staleMetrics = state.metrics.text(state.core.stats(), state.clock.now())
    sendJson(reply, 200, list(), { connection: 'close' })
    if (refuse) {
      const durationMs = refuse.durationMs ?? 0
      state.refusedUntilMs = state.clock.monotonicMs() + durationMs
      state.onRefuse(durationMs)
      for (const open of [...state.openReplies]) open.cut()
    }
    if (crash) state.crash(crash)
  }
  return [
    ['GET', '/admin/fault', show],
    ['POST', '/admin/fault', add],
    ['DELETE', '/admin/fault', clear],
  ]
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
