import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { NetConnectOpts, Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import type { Client } from '../api/client.ts'
import type { GatewayView } from '../api/objects.ts'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import { answerClientError } from './client-error.ts'
import { Core } from './core.ts'
import { drain } from './drain.ts'
import { DEFAULT_SETTINGS, type GatewaySettings } from './settings.ts'
import { serve } from './surface.ts'
import { createUpstreamPool } from './upstream-pool.ts'
import type { ViewCache } from './view-cache.ts'
import { followView } from './view-feed.ts'
import { indexView } from './view-index.ts'

export interface GatewayDeps {
  /** Asked for the view only, never for a request. */
  readonly control: Pick<Client, 'call'>
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** `net.connect` */
  readonly connect: (options: NetConnectOpts) => Socket
  /** `tls.connect` */
  readonly connectTls: (options: ConnectionOptions) => TLSSocket
  /** Where the last good view is kept; absent: nowhere. */
  readonly cache?: ViewCache
  /** Reads the variables that hold the keys of external services. */
  readonly env: (name: string) => string | undefined
  readonly settings?: Partial<GatewaySettings>
}

/** The data plane: OpenAI-compatible HTTP in, one endpoint chosen, bytes back. */
export interface Gateway {
  /** For `http.createServer`. */
  readonly listener: (request: IncomingMessage, response: ServerResponse) => void
  /**
   * Takes care of a server that was made with `listener`: answers `Expect: 100-continue` and malformed HTTP in our
   * own way, and closes it when draining.
   */
  adopt(server: Server): void
  /** Takes a view over, whole; `run` does this with each that control gives. */
  applyView(view: GatewayView): void
  /** Follows control's view until `signal` aborts. Never rejects. */
  run(signal: AbortSignal): Promise<void>
  /**
   * Stops without cutting anybody off who can still finish: first `/readyz` fails for `graceMs`, then nothing new is
   * taken, then requests in flight have until `deadlineMs` more before they are ended with an error.
   */
  drain(options: { readonly graceMs: number; readonly deadlineMs: number }): Promise<void>
  /** What it does now. */
  stats(): GatewayStats
  /** Closes all connections to upstreams. */
  close(): void
}

export interface GatewayStats {
  readonly inFlight: number
  readonly queued: number
  readonly openConnections: number
  readonly heldBodyBytes: number
  /** Revision of the view in use; undefined before the first. */
  readonly viewRevision: number | undefined
  readonly replicas: readonly {
    readonly replica: string
    readonly inFlight: number
    readonly ejected: boolean
  }[]
}

export function createGateway(deps: GatewayDeps): Gateway {
  const settings: GatewaySettings = { ...DEFAULT_SETTINGS, ...deps.settings }
  const pool = createUpstreamPool({ ...deps, ...settings })
  const core = new Core({ ...deps, settings, pool })
  const servers = new Set<Server>()
  const seen = new Map<string, number>()

  const apply = (view: GatewayView, confirmed: boolean): void => {
    core.index = indexView(view, seen, deps.env)
    if (confirmed) core.viewConfirmedAtMs = deps.clock.monotonicMs()
    core.metrics.prune(core.index.names)
    core.loads.prune(core.index.targets)
    for (const request of core.inFlight.all()) request.viewChanged()
    core.waitRoom.wake()
  }
  const listener = (request: IncomingMessage, response: ServerResponse): void =>
    serve(core, request, response)

  return {
    listener,
    adopt(server) {
      servers.add(server)
      server.on('close', () => servers.delete(server))
      server.on('checkContinue', listener)
      server.on('clientError', (error: NodeJS.ErrnoException, socket) =>
        answerClientError(error, socket, {
          requestId: core.ids.requestId(),
          isAnswering: core.inFlight.all().some((request) => request.isOn(socket)),
        }),
      )
    },
    applyView: (view) => apply(view, true),
    run: (signal) =>
      followView(
        {
          ...deps,
          cache: deps.cache,
          waitMs: settings.viewWaitMs,
          apply,
          historyRestarted: () => seen.clear(),
          confirm: () => {
            core.viewConfirmedAtMs = deps.clock.monotonicMs()
          },
          failed: () => {
            core.metrics.viewErrors++
          },
        },
        signal,
      ),
    drain: (options) => drain(core, servers, options),
    stats: () => ({
      inFlight: core.inFlight.size,
      queued: core.waitRoom.size,
      openConnections: pool.openConnections,
      heldBodyBytes: core.heldBodyBytes,
      viewRevision: core.index?.revision,
      replicas: core.loads.all(),
    }),
    close: () => pool.close(),
  }
}
