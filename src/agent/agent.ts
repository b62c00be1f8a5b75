import type { RequestListener } from 'node:http'
import { createClient } from '../api/client.ts'
import type { Clock } from '../base/clock.ts'
import { errorText } from '../base/errors.ts'
import type { Fetch } from '../base/fetch.ts'
import type { Log } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { EngineName } from '../domain/engine-name.ts'
import type { Labels } from '../domain/names.ts'
import type { PortRange } from '../domain/node.ts'
import type { Engine } from '../engines/engine.ts'
import { createControlLink } from './control-link.ts'
import { createDeviceBook } from './devices/device-book.ts'
import type { AgentHands } from './hands.ts'
import { createAgentApi } from './http/agent-api.ts'
import { agentListener } from './http/agent-listener.ts'
import { createEngineProxy } from './http/engine-proxy.ts'
import { nodeStatus, usableEngines } from './node-status.ts'
import { inheritedEnvironment } from './processes/engine-environment.ts'
import { createPulse } from './pulse.ts'
import { ensureRegistered, type Registered, register } from './registration.ts'
import { createReplicaSet, type ReplicaSet } from './replica-set.ts'
import { createSourceInspector } from './source-inspector.ts'
import { untilAborted } from './until-aborted.ts'

export interface AgentDeps extends AgentHands {
  /** Control's API; `baseUrl` without a trailing slash. */
  readonly control: { readonly fetch: Fetch; readonly baseUrl: string }
  readonly clock: Clock
  readonly random: Random
  readonly log: Log
  /** Unguessable: names agents and runs. */
  readonly newId: () => string
  /** Asked for only when this machine is not registered yet; kept nowhere. */
  readonly joinToken: () => Promise<string | undefined>
  readonly name: string
  readonly labels: Labels
  /** Where control and gateways reach this agent now, for example `http://10.0.0.7:7702`. */
  readonly agentUrl: () => string
  readonly version: string
  /** For people: `linux-x64`. */
  readonly platform: string
  readonly enginePorts: PortRange
  /** Engine `command` may start programs of this machine. */
  readonly allowCommand: boolean
  readonly engineOf: (name: EngineName) => Engine | undefined
  /** Engines that this installation lacks parts for. */
  readonly withoutEngines?: readonly EngineName[]
  /** How to run our own program. */
  readonly yardCommand: readonly [string, ...string[]]
  /** Processors that one engine may take. */
  readonly threads: number
  /** The agent's own environment; engines inherit what is allowed of it. */
  readonly env: Readonly<Record<string, string | undefined>>
}

export interface Agent {
  /** The agent's own HTTP API: health and logs. */
  readonly fetch: Fetch
  /** The same and the way to the engines (`/engines/{replica}/…`), for a Node server. */
  readonly listener: RequestListener
  /**
   * Adopts what runs, joins, reports and works until `signal` aborts; then leaves the engines running. Call once.
   * Faults: `data_dir_unusable`, `unauthenticated` (no or a wrong join token), `conflict` (the name is taken).
   */
  run(signal: AbortSignal): Promise<void>
  /** Stops all engines, each by its own steps, and forgets them. For when the agent's end is to be theirs. */
  stopAll(): Promise<void>
}

const DEVICES_EVERY_MS = 10_000
const ENGINES_EVERY_MS = 60_000
const LOGS_EVERY_MS = 1_000
/** While an engine floods its log: what it can write in this time is what it can take of the disk beyond its share. */
const FLOOD_EVERY_MS = 100

/** A node's agent. Everything it touches comes in as an argument. */
export function createAgent(deps: AgentDeps): Agent {
  const { clock, log, disk, logs } = deps
  let registered: Registered | undefined
  let replicas: ReplicaSet | undefined
  let usable: readonly EngineName[] = []
  const agentCredential = () => registered?.agentCredential
  const proxy = createEngineProxy({ serving: (replica) => replicas?.serving(replica), agentCredential, log })
  const fetch = createAgentApi({ logs, agentCredential })
  const book = createDeviceBook({ probes: deps.probes, clock, log })
  const client = createClient({ ...deps.control, token: () => registered?.key })

  const lookForEngines = async () => {
    usable = await usableEngines({ ...deps, without: deps.withoutEngines ?? [] })
  }

  const run = async (signal: AbortSignal) => {
    const known = await disk.identity()
    const identity = known ?? { agentId: deps.newId() }
    // Before anything is told to control: a second attempt must be recognised as ours.
    if (!known) await disk.saveIdentity(identity)
    registered = identity.registered?.name === deps.name ? identity.registered : undefined
    const failed = new AbortController()
    const all = AbortSignal.any([signal, failed.signal])
    const inspectPulse = createPulse(clock)
    const firstReading = book.refresh()

    const set = createReplicaSet({
      clock,
      log,
      changed: () => link.reportSoon(),
      replicaDeps: {
        ...deps,
        agentId: identity.agentId,
        inherited: inheritedEnvironment(deps.env),
        devices: () => book.devices(),
        async deviceProblems() {
          await firstReading
          return book.problems()
        },
        proxied: (replica) => proxy.inFlight(replica),
        endProxied: (replica) => proxy.end(replica),
      },
    })
    const inspector = createSourceInspector({
      clock,
      models: deps.models,
      report: (source, report, until) => link.reportSource(source, report, until),
      pause: (timeoutMs, until) => inspectPulse.wait(timeoutMs, until),
      wake: () => inspectPulse.wake(),
    })
    const registration = { ...deps, client }
    const link = createControlLink({
      ...deps,
      client,
      agentId: identity.agentId,
      node: () => registered?.name ?? deps.name,
      async report() {
        const occupancy = set.occupancy()
        const name = registered?.name ?? deps.name
        const listening = await deps.ports.listening()
        const status = nodeStatus({
          ...deps,
          name,
          devices: book.devices(),
          engines: usable,
          listening,
          occupancy,
        })
        return { status, replicas: set.statuses(name) }
      },
      async onWork(work) {
        await set.want(work.assignments)
        inspector.want(work.inspect)
      },
      async rejoin(until) {
        try {
          registered = await register(registration, identity, until)
          return true
        } catch (error) {
          log.error('credential_refused', { problem: errorText(error) })
          return false
        }
      },
    })

    const work = [
      trimLogs(all),
      every(DEVICES_EVERY_MS, all, async () => {
        if (await book.refresh()) link.reportSoon()
      }),
      every(ENGINES_EVERY_MS, all, lookForEngines),
      inspector.run(all),
      (async () => {
        replicas = set
        await untilAborted(all, Promise.all([set.adopt(), firstReading, lookForEngines()]))
        registered = await ensureRegistered(registration, identity, all)
        await link.run(all)
      })(),
    ]
    try {
      await Promise.all(work)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      failed.abort()
      await Promise.allSettled(work)
      await set.detach()
    }
  }

  const every = async (everyMs: number, signal: AbortSignal, work: () => Promise<unknown>) => {
    while (!signal.aborted) {
      await clock.sleep(everyMs, signal).catch(() => {})
      if (!signal.aborted) {
        await untilAborted(signal, work()).catch((error: unknown) => {
          if (!signal.aborted) log.error('agent_loop_failed', { problem: errorText(error) })
        })
      }
    }
  }

  const trimLogs = async (signal: AbortSignal) => {
    let floodToldAtMs = Number.NEGATIVE_INFINITY
    while (!signal.aborted) {
      const dropped = await logs.trim().catch(() => 0)
      if (dropped > 0 && clock.monotonicMs() - floodToldAtMs > 60_000) {
        floodToldAtMs = clock.monotonicMs()
        log.warn('engine_log_flood', { droppedBytes: dropped })
      }
      await clock.sleep(dropped > 0 ? FLOOD_EVERY_MS : LOGS_EVERY_MS, signal).catch(() => {})
    }
  }

  return {
    fetch,
    listener: agentListener(fetch, proxy),
    run,
    async stopAll() {
      await replicas?.stopAll()
    },
  }
}
