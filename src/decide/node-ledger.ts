import type { Device } from '../domain/node.ts'
import type { Placement } from '../domain/replica.ts'
import type { NodeView } from './cluster-view.ts'
import type { Random } from './random.ts'

export interface DeviceLedger {
  readonly device: Device
  /** Bytes that ours may take in all: memory less what others use and what the machine itself keeps. */
  readonly capacityBytes: number
  /** What others use (accelerators) or the machine keeps (main memory). */
  readonly othersBytes: number
  /** Below zero when more was promised than there is. */
  freeBytes: number
}

/** What is free on one node, while a plan is made. Mutable; never leaves `schedule`. */
export interface NodeLedger {
  readonly node: NodeView
  readonly devices: readonly DeviceLedger[]
  /** The processors' device, which also holds main memory. */
  readonly host: DeviceLedger | undefined
  readonly ports: Set<number>
  readonly claims: Map<string, Claim>
}

/** What one replica holds on one node, by the plan or by what its agent found, whichever is more. */
export interface Claim {
  readonly model: string | undefined
  readonly bytesByDevice: ReadonlyMap<string, number>
  readonly hostMemoryBytes: number
  readonly ports: readonly number[]
}

export type Taking = Pick<
  Placement,
  'replica' | 'model' | 'deviceIds' | 'bytesPerDevice' | 'hostMemoryBytes' | 'port'
>

/**
 * The ledger of a node. A replica that is both planned and found is counted once. What an accelerator shows as used
 * beyond the replicas found on it belongs to others; main memory is not read that way, because it counts the page
 * cache as used: there the machine keeps a reserve.
 */
export function openLedger(node: NodeView, placements: readonly Taking[]): NodeLedger {
  return ledgerOf(node, claimsOf(node, placements))
}

/** Takes what `taking` needs. */
export function take(ledger: NodeLedger, taking: Taking): void {
  charge(ledger, taking.replica, claimOf(taking))
}

/** The same ledger as if `replica` had left; the original stays as it is. */
export function without(ledger: NodeLedger, replica: string): NodeLedger {
  return ledgerOf(ledger.node, new Map([...ledger.claims].filter(([name]) => name !== replica)))
}

/** How many replicas of `model` are promised to this node, or to one of its devices. */
export function replicasOf(ledger: NodeLedger, model: string, deviceId?: string): number {
  let count = 0
  for (const claim of ledger.claims.values()) {
    if (claim.model === model && (deviceId === undefined || claim.bytesByDevice.has(deviceId))) count++
  }
  return count
}

/**
 * A port of the node's range that nobody has: the first free one from a random place on. Nodes that share a machine
 * can't see each other's plans, and a port that was just given up may linger, so the lowest is the worst choice.
 */
export function freePort({ node, ports }: NodeLedger, random: Random): number | undefined {
  const { first, last } = node.enginePorts
  const size = last - first + 1
  const offset = Math.floor(random() * size)
  for (let step = 0; step < size; step++) {
    const port = first + ((offset + step) % size)
    if (!ports.has(port)) return port
  }
  return undefined
}

/** True while the node's range has a port that nobody has. */
export function hasFreePort(ledger: NodeLedger): boolean {
  return freePort(ledger, () => 0) !== undefined
}

function ledgerOf(node: NodeView, claims: ReadonlyMap<string, Claim>): NodeLedger {
  const ledger: NodeLedger = {
    node,
    ...devicesOf(node),
    ports: new Set(node.takenPorts),
    claims: new Map(),
  }
  for (const [replica, claim] of claims) charge(ledger, replica, claim)
  return ledger
}

function devicesOf(node: NodeView): Pick<NodeLedger, 'devices' | 'host'> {
  const devices = node.devices.map((device): DeviceLedger => {
    const othersBytes = device.kind === 'cpu' ? hostReserveBytes(device) : foreignBytes(node, device)
    const capacityBytes = device.memoryBytes - othersBytes
    return { device, capacityBytes, othersBytes, freeBytes: capacityBytes }
  })
  return { devices, host: devices.find(({ device }) => device.kind === 'cpu') }
}

const HOST_RESERVE_SHARE = 0.1
const HOST_RESERVE_MOST_BYTES = 2 * 1024 ** 3

function hostReserveBytes(device: Device): number {
  return Math.min(HOST_RESERVE_MOST_BYTES, Math.ceil(device.memoryBytes * HOST_RESERVE_SHARE))
}

function foreignBytes(node: NodeView, device: Device): number {
  let oursBytes = 0
  for (const found of node.occupancy) {
    if (found.deviceIds.includes(device.id)) oursBytes += found.bytesPerDevice
  }
  return Math.max(0, (device.memoryUsedBytes ?? 0) - oursBytes)
}

function claimsOf(node: NodeView, placements: readonly Taking[]): Map<string, Claim> {
  const found = new Map<string, Claim>()
  for (const occupancy of node.occupancy) {
    const claim = claimOf({ ...occupancy, model: undefined })
    const before = found.get(occupancy.replica)
    // Listed twice it is there twice: what an accelerator shows as used is explained by both as well.
    found.set(occupancy.replica, before === undefined ? claim : merged(before, claim, (a, b) => a + b))
  }
  const claims = new Map(placements.map((placement) => [placement.replica, claimOf(placement)]))
  for (const [replica, claim] of found) {
    const planned = claims.get(replica)
    claims.set(replica, planned === undefined ? claim : merged(planned, claim, Math.max))
  }
  return claims
}

function claimOf(taking: Omit<Taking, 'model'> & { readonly model: string | undefined }): Claim {
  return {
    model: taking.model,
    bytesByDevice: new Map(taking.deviceIds.map((id) => [id, taking.bytesPerDevice])),
    hostMemoryBytes: taking.hostMemoryBytes,
    ports: [taking.port],
  }
}

function merged(first: Claim, second: Claim, add: (a: number, b: number) => number): Claim {
  const bytesByDevice = new Map(first.bytesByDevice)
  for (const [id, bytes] of second.bytesByDevice)
    bytesByDevice.set(id, add(bytesByDevice.get(id) ?? 0, bytes))
  return {
    model: first.model,
    bytesByDevice,
    hostMemoryBytes: add(first.hostMemoryBytes, second.hostMemoryBytes),
    ports: [...first.ports, ...second.ports],
  }
}

function charge(ledger: NodeLedger, replica: string, claim: Claim): void {
  ledger.claims.set(replica, claim)
  for (const port of claim.ports) ledger.ports.add(port)
  for (const entry of ledger.devices) entry.freeBytes -= claim.bytesByDevice.get(entry.device.id) ?? 0
  if (ledger.host) ledger.host.freeBytes -= claim.hostMemoryBytes
}
