import type { NodeCondition } from '../../src/control/records.ts'
import { tables } from '../../src/control/records.ts'
import type { Endpoint, Placement, Plan, Replica } from '../../src/domain/replica.ts'
import type { Committed } from './sim-store.ts'
import type { Kind, Seen, StorePicture } from './store-picture.ts'

/** Written by the leader's loops and nobody else. */
const LOOPS_ONLY: readonly Kind[] = [
  'placements',
  'plan',
  'endpoints',
  'modelStatus',
  'unplaced',
  'nodeConditions',
  'revisions',
]
const LEADER = tables.leader.key('only')
/** What vanished a moment ago need not have been noticed. */
const NOTICED_MS = 5_000

/** What the rules ask of the world beside the store. */
export interface Witness {
  readonly nowMs: () => number
  readonly violation: (text: string) => void
  /** Bytes of each device of a node, by id. */
  readonly devicesOf: (node: string) => ReadonlyMap<string, number>
  /** A process of the replica was ready once. */
  readonly wasReady: (replica: string) => boolean
}

/** Checks each revision of the store against what must hold in every one of them. */
export class StoreRules {
  readonly #picture: StorePicture
  readonly #witness: Witness
  /** Where each replica was ever placed. */
  readonly placedAt = new Map<string, Placement>()
  readonly #leaseGoneMs = new Map<string, number>()
  #planVersion = 0

  constructor(picture: StorePicture, witness: Witness) {
    this.#picture = picture
    this.#witness = witness
  }

  /** After a revision was taken into the picture. */
  check(seen: readonly Seen[]): void {
    const evicted = seen.filter((one) => one.kind === 'placements' && one.after === undefined)
    for (const one of evicted) this.#mayForget(one, seen)
    for (const one of seen) {
      if (one.kind === 'nodeLeases') this.#noteLease(one)
      if (one.kind === 'plan' && one.after) this.#planGrows(one.after as Plan)
    }
    for (const one of seen) {
      if (one.kind === 'placements' && one.after) this.#mayPlace(one.after as Placement, one.before)
      if (one.kind === 'endpoints' && one.after) this.#mayRoute(one.after as Endpoint)
      if (one.kind === 'replicas' && one.before && one.after) {
        this.#neverRunsAgain(one.before as Replica, one.after as Replica)
      }
    }
    if (seen.some((one) => one.kind === 'placements')) this.#nothingTwice()
  }

  /** Before a revision that a server made is taken into the picture. */
  fenced({ server, compares, ops, revision }: Committed): void {
    const removesNode = ops.some((op) => op.kind === 'delete' && op.key.startsWith(tables.nodes.prefix))
    const isLoops = ops.some((op) => {
      const kind = op.key.split('/')[3]
      // Whoever forgets a node may end a suspicion by it, and gives the others their time in the same transaction.
      if (removesNode && kind === tables.nodeConditions.kind) return false
      return op.kind === 'put' && LOOPS_ONLY.some((name) => tables[name].kind === kind)
    })
    if (!isLoops) return
    const compare = compares.find((one) => one.key === LEADER)
    const keys = ops.map((op) => op.key).join(' ')
    if (compare === undefined) this.#witness.violation(`unfenced write by ${server} at ${revision}: ${keys}`)
  }

  #noteLease({ name, after }: Seen): void {
    if (after) this.#leaseGoneMs.delete(name)
    else if (!this.#leaseGoneMs.has(name)) this.#leaseGoneMs.set(name, this.#witness.nowMs())
  }

  #planGrows({ planVersion }: Plan): void {
    if (planVersion <= this.#planVersion) {
      this.#witness.violation(`planVersion went from ${this.#planVersion} to ${planVersion}`)
    }
    this.#planVersion = planVersion
  }

  #mayPlace(placement: Placement, before: unknown): void {
    const { violation } = this.#witness
    const { replica, node } = placement
    const was = this.placedAt.get(replica)
    if (before || (was && JSON.stringify(was) !== JSON.stringify(placement))) {
      violation(`placement of ${replica} was changed: ${JSON.stringify(was)} to ${JSON.stringify(placement)}`)
    }
    this.placedAt.set(replica, placement)
    const picture = this.#picture
    if (picture.get('nodes', node)?.cordoned !== false)
      violation(`${replica} placed on cordoned or unknown ${node}`)
    if (!picture.get('nodeLeases', node)) violation(`${replica} placed on ${node}, which does not report`)
    if (!picture.get('replicas', replica)) violation(`a placement of ${replica}, which is not`)
    if (picture.get('replicas', replica)?.intent === 'stop')
      violation(`${replica} placed although it is to stop`)
    if (placement.planVersion !== this.#planVersion) {
      violation(`${replica} placed by plan ${placement.planVersion} at ${this.#planVersion}`)
    }
    const status = picture.get('nodeStatus', node)
    const ports = status?.occupancy.filter((one) => one.replica !== replica).map((one) => one.port) ?? []
    if ([...ports, ...(status?.takenPorts ?? [])].includes(placement.port)) {
      violation(`${replica} placed on port ${placement.port} of ${node}, which its agent says is taken`)
    }
  }

  #mayRoute(endpoint: Endpoint): void {
    const { violation, wasReady } = this.#witness
    const { replica, planVersion, address } = endpoint
    const placement = this.placedAt.get(replica)
    if (!placement || placement.planVersion !== planVersion) {
      violation(`an endpoint of ${replica} with plan ${planVersion}, placed by ${placement?.planVersion}`)
    }
    if (address.kind === 'node' && address.port !== placement?.port) {
      violation(`an endpoint of ${replica} on port ${address.port}, placed on ${placement?.port}`)
    }
    if (!wasReady(replica)) violation(`an endpoint of ${replica}, which never was ready`)
  }

  #neverRunsAgain(before: Replica, after: Replica): void {
    if (before.intent === 'stop' && after.intent === 'run') {
      this.#witness.violation(`${after.name} was to stop and is to run again`)
    }
    if (before.revision !== after.revision) this.#witness.violation(`${after.name} changed its revision`)
  }

  /** Nothing is taken from nodes that vanished when most of them did: then the fault is ours. */
  #mayForget({ name, before }: Seen, seen: readonly Seen[]): void {
    const { node } = before as Placement
    const removed = seen.some((one) => one.kind === 'nodes' && one.name === node && !one.after)
    if (removed || !this.#picture.get('nodes', node) || this.#picture.get('nodeLeases', node)) return
    const replica = seen.find((one) => one.kind === 'replicas' && one.name === name)?.before as
      | Replica
      | undefined
    const status = seen.find((one) => one.kind === 'replicaStatus' && one.name === name)?.before as
      | { phase: string }
      | undefined
    // One that is to stop takes nothing from anybody by going.
    if (replica?.intent === 'stop' || status?.phase === 'failed') return
    const known = this.#picture.all('nodeConditions') as NodeCondition[]
    const nowMs = this.#witness.nowMs()
    const missing = known.filter((one) => nowMs - (this.#leaseGoneMs.get(one.node) ?? nowMs) >= NOTICED_MS)
    if (missing.length >= 2 && missing.length * 2 > known.length) {
      const names = missing.map((one) => one.node).join(', ')
      this.#witness.violation(
        `${name} on ${node} was given up while ${missing.length} of ${known.length} nodes were missing (${names})`,
      )
    }
  }

  #nothingTwice(): void {
    const { violation, devicesOf } = this.#witness
    const ports = new Map<string, string>()
    const bytes = new Map<string, number>()
    for (const { replica, node, deviceIds, bytesPerDevice, port } of this.#picture.all('placements')) {
      const at = `${node}:${port}`
      if (ports.has(at)) violation(`${replica} and ${ports.get(at)} are both placed on ${at}`)
      ports.set(at, replica)
      for (const id of deviceIds) {
        const sum = (bytes.get(id) ?? 0) + bytesPerDevice
        bytes.set(id, sum)
        if (sum > (devicesOf(node).get(id) ?? 0)) violation(`${id} is promised ${sum} bytes with ${replica}`)
      }
    }
  }
}
