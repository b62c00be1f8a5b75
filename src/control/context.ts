import type { Clock } from '../base/clock.ts'
import type { Fetch } from '../base/fetch.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Store } from '../store/store.ts'
import type { ClusterCache } from './cluster-cache.ts'
import type { Committer } from './committer.ts'
import type { Metrics } from './metrics.ts'

/** All that the control plane is given. Nothing in this folder makes any of it. */
export interface ControlDeps {
  readonly store: Store
  readonly clock: Clock
  readonly random: Random
  /** A cryptographic source. */
  readonly randomBytes: (size: number) => Uint8Array
  readonly log: Log
  /** Hex, at least 32 bytes: keys the hashes of secrets and the credentials of machines. Never in the Store. */
  readonly pepper: string
  /** How to reach the agent at this URL. The request's own URL is below it. */
  readonly agentFetch: (agentUrl: string) => Fetch
  /** Of the program. */
  readonly version: string
  /** Names this server for good: the same after a restart, another one for each server of a cluster. */
  readonly serverId: string
  /** Where people reach the gateway; told by `version`. */
  readonly gatewayUrl?: string
  /** Host names (without port) that requests may come in by; any when absent. */
  readonly allowedHosts?: readonly string[]
}

/** What handlers and loops work with. */
export interface ControlContext extends ControlDeps {
  readonly cache: ClusterCache
  readonly committer: Committer
  readonly metrics: Metrics
}
