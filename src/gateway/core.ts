import type { Duplex } from 'node:stream'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { RoutingView } from '../decide/route.ts'
import type { Endpoint } from '../domain/replica.ts'
import { type Authenticator, createAuthenticator } from './authenticate.ts'
import { type Bounded, Deadlines } from './deadlines.ts'
import { LoadBook } from './load-book.ts'
import { Metrics } from './metrics.ts'
import { RecentCounts } from './recent-counts.ts'
import { RequestIds } from './request-ids.ts'
import type { GatewaySettings } from './settings.ts'
import type { UpstreamPool } from './upstream-pool.ts'
import type { ViewIndex } from './view-index.ts'
import { WaitRoom } from './wait-room.ts'

/** A request from its head to its last byte, as the gateway sees it from outside. */
export interface InFlight extends Bounded {
  /** Ends it now, with an error that says so. */
  cutOff(): void
  /** There is a new view. */
  viewChanged(): void
  /** Its answer goes over this connection. */
  isOn(socket: Duplex): boolean
}

/** What all requests of one gateway share. */
export class Core {
  readonly settings: GatewaySettings
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  readonly pool: UpstreamPool
  readonly loads: LoadBook
  readonly waitRoom: WaitRoom
  readonly inFlight: Deadlines<InFlight>
  readonly ids: RequestIds
  readonly metrics = new Metrics()
  readonly recent: RecentCounts
  readonly authenticator: Authenticator
  readonly routing: RoutingView
  /** Absent until the first view. */
  index: ViewIndex | undefined
  /** When control last said that `index` is the newest; `-Infinity` for a copy from disk. */
  viewConfirmedAtMs = Number.NEGATIVE_INFINITY
  heldBodyBytes = 0
  /** Called when the last request in flight has ended. */
  onEmpty: (() => void) | undefined
  /** `failing`: still serving, but no longer ready. `refusing`: nothing new is taken. */
  state: 'serving' | 'failing' | 'refusing' = 'serving'

  constructor(deps: {
    settings: GatewaySettings
    clock: Clock
    random: Random
    log: Log
    pool: UpstreamPool
  }) {
    this.settings = deps.settings
    this.clock = deps.clock
    this.random = deps.random
    this.log = deps.log
    this.pool = deps.pool
    this.waitRoom = new WaitRoom(deps.settings.maxQueued)
    this.loads = new LoadBook(deps.clock, () => this.waitRoom.wake())
    this.inFlight = new Deadlines(deps.clock)
    this.ids = new RequestIds(deps.random)
    this.recent = new RecentCounts(deps.clock)
    this.authenticator = createAuthenticator({ clock: deps.clock, ...deps.settings })
    this.routing = {
      endpointsOf: (model: string): readonly Endpoint[] | undefined =>
        this.index?.names.get(model)?.endpoints,
      load: (replica: string) => this.loads.load(replica),
    }
  }
}
