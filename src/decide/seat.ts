import type { DeviceKind } from '../domain/node.ts'
import type { ReplicaAsk } from './cluster-view.ts'
import { NODE_CHECKS } from './node-checks.ts'
import { type DeviceLedger, hasFreePort, type NodeLedger, replicasOf } from './node-ledger.ts'

/** A place that fits, with what tells it from other places. */
export interface Seat {
  readonly ledger: NodeLedger
  readonly deviceIds: readonly string[]
  /** Position of the device kind among the ask's preferences. */
  readonly kindRank: number
  /** Replicas of the same model on the node. */
  readonly siblings: number
  /** Least that stays free on any of the devices. */
  readonly leftBytes: number
}

/** The best place for `ask` on one node, or undefined when it has none. `explain` says why. */
export function findSeat(ask: ReplicaAsk, ledger: NodeLedger): Seat | undefined {
  if (NODE_CHECKS.some((check) => check.refuses(ask, ledger.node))) return undefined
  if (!hasFreePort(ledger)) return undefined
  const siblings = replicasOf(ledger, ask.model)
  const { devices, deviceKinds } = ask.footprint
  if (devices === 0) {
    if (!hostFits(ask, ledger)) return undefined
    const leftBytes = ledger.host?.freeBytes ?? 0
    return { ledger, deviceIds: [], kindRank: 0, siblings, leftBytes }
  }
  for (const [kindRank, kind] of deviceKinds.entries()) {
    const picked = pickDevices(ask, ledger, kind)
    if (picked === undefined || (kind !== 'cpu' && !hostFits(ask, ledger))) continue
    const deviceIds = picked.map(({ device }) => device.id)
    return { ledger, deviceIds, kindRank, siblings, leftBytes: leastFree(picked) - needOn(ask, kind) }
  }
  return undefined
}

/** True when `a` is the better place; equal places are neither. */
export function isBetterSeat(strategy: ReplicaAsk['strategy'], a: Seat, b: Seat): boolean {
  if (a.kindRank !== b.kindRank) return a.kindRank < b.kindRank
  if (strategy === 'pack') return a.leftBytes < b.leftBytes
  if (a.siblings !== b.siblings) return a.siblings < b.siblings
  return a.leftBytes > b.leftBytes
}

/** What each device of this kind must have free. The processors' device also gives the main memory. */
export function needOn({ footprint }: ReplicaAsk, kind: DeviceKind): number {
  return footprint.bytesPerDevice + (kind === 'cpu' ? footprint.hostMemoryBytes : 0)
}

/** True when the machine's main memory has what is asked beside the devices. */
export function hostFits({ footprint }: ReplicaAsk, { host }: NodeLedger): boolean {
  if (footprint.hostMemoryBytes === 0) return true
  return host?.device.healthy === true && host.freeBytes >= footprint.hostMemoryBytes
}

/**
 * Devices of one kind that may work together. Shards are equal, so several devices must be of the same model: a sum
 * over unequal devices says nothing.
 */
export function deviceGroups(ask: ReplicaAsk, ledger: NodeLedger, kind: DeviceKind): DeviceLedger[][] {
  const groups = new Map<string, DeviceLedger[]>()
  for (const entry of ledger.devices) {
    if (entry.device.kind !== kind || !entry.device.healthy) continue
    const name = ask.footprint.devices > 1 ? entry.device.model : ''
    groups.set(name, [...(groups.get(name) ?? []), entry])
  }
  return [...groups.values()]
}

function pickDevices(ask: ReplicaAsk, ledger: NodeLedger, kind: DeviceKind): DeviceLedger[] | undefined {
  const needBytes = needOn(ask, kind)
  const { devices } = ask.footprint
  let best: DeviceLedger[] | undefined
  for (const group of deviceGroups(ask, ledger, kind)) {
    const fitting = group.filter((entry) => entry.freeBytes >= needBytes)
    if (fitting.length < devices) continue
    const picked = fitting.sort(deviceOrder(ask, ledger)).slice(0, devices)
    if (best === undefined || isBetterGroup(ask.strategy, picked, best)) best = picked
  }
  return best
}

function deviceOrder(ask: ReplicaAsk, ledger: NodeLedger): (a: DeviceLedger, b: DeviceLedger) => number {
  const byId = (a: DeviceLedger, b: DeviceLedger) => (a.device.id < b.device.id ? -1 : 1)
  if (ask.strategy === 'pack') return (a, b) => a.freeBytes - b.freeBytes || byId(a, b)
  const siblings = (entry: DeviceLedger) => replicasOf(ledger, ask.model, entry.device.id)
  return (a, b) => siblings(a) - siblings(b) || b.freeBytes - a.freeBytes || byId(a, b)
}

function isBetterGroup(strategy: ReplicaAsk['strategy'], a: DeviceLedger[], b: DeviceLedger[]): boolean {
  return strategy === 'pack' ? leastFree(a) < leastFree(b) : leastFree(a) > leastFree(b)
}

function leastFree(devices: readonly DeviceLedger[]): number {
  return devices.reduce((least, entry) => Math.min(least, entry.freeBytes), Number.POSITIVE_INFINITY)
}
