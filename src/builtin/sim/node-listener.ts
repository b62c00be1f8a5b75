import { createServer, type Server } from 'node:http'
import type { Clock, Timer } from '../../base/clock.ts'
import type { Exchange } from './exchange.ts'
import { nodeListener } from './node-exchange.ts'

/** A port that is open. */
export interface SimListener {
  /** The port in use, also when 0 was asked for. */
  readonly port: number
  /** Closes the port and breaks connections, and opens it again after this time. */
  refuse(durationMs: number): void
  /** Stops listening; what was written still leaves, then every connection is closed. */
  close(): Promise<void>
}

/** Opens a port. Rejects with the system's error (`EADDRINUSE`, …) when it cannot. */
export type SimListen = (
  handle: (exchange: Exchange) => void,
  where: { readonly host: string; readonly port: number; readonly clock: Clock },
) => Promise<SimListener>

export const listenHttp: SimListen = async (handle, { host, port, clock }) => {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS }, nodeListener(handle))
  await opened(server, host, port)
  const address = server.address()
  const actual = typeof address === 'object' && address ? address.port : port
  let reopening: Timer | undefined
  let closed = false

  const breakSoon = (delayMs: number) => clock.after(delayMs, () => server.closeAllConnections())
  return {
    port: actual,
    refuse(durationMs) {
      server.close()
      breakSoon(FLUSH_MS)
      reopening?.cancel()
      reopening = clock.after(durationMs, () => {
        // Somebody else may have taken the port; then it stays refused by us, as it would by a real process.
        if (!closed) opened(server, host, actual).catch(() => {})
      })
    },
    close() {
      closed = true
      reopening?.cancel()
      if (!server.listening) {
        server.closeAllConnections()
        return Promise.resolve()
      }
      return new Promise((resolve) => {
        const timer = breakSoon(LAST_WORDS_MS)
        server.close(() => {
          timer.cancel()
          resolve()
        })
      })
    },
  }
}

/** uvicorn's default. */
const KEEP_ALIVE_MS = 5000
/** Time for the answer that asked for the fault to leave. */
const FLUSH_MS = 20
const LAST_WORDS_MS = 500

function opened(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port }, () => {
      server.off('error', reject)
      resolve()
    })
  })
}
