import type { Rejection } from '../domain/model.ts'
import type { DeviceKind } from '../domain/node.ts'
import { bytesText } from './bytes-text.ts'
import type { ReplicaAsk } from './cluster-view.ts'
import { NODE_CHECKS } from './node-checks.ts'
import { type DeviceLedger, hasFreePort, type NodeLedger, without } from './node-ledger.ts'
import { deviceGroups, findSeat, hostFits, needOn } from './seat.ts'

/**
 * Why `ask` has no place on this node and what would make one: all that rules the node out at once, else what it
 * lacks, for each kind of device that would do. Never empty when `findSeat` finds nothing.
 */
export function explain(ask: ReplicaAsk, ledger: NodeLedger): Rejection[] {
  const { node } = ledger
  const ruledOut = NODE_CHECKS.filter((check) => check.refuses(ask, node))
  if (ruledOut.length > 0) {
    return ruledOut.map((check) => ({
      node: node.name,
      reason: check.reason,
      message: check.message(ask, node),
    }))
  }
  const lacking = [...portLacking(ledger), ...hostLacking(ask, ledger), ...devicesLacking(ask, ledger)]
  const freedBy = replicasInTheWay(ask, ledger)
  if (freedBy.length === 0) return lacking
  return lacking.map((rejection) => (isRoom(rejection) ? { ...rejection, freedBy } : rejection))
}

function isRoom({ reason }: Rejection): boolean {
  return reason === 'memory' || reason === 'host_memory' || reason === 'no_port'
}

/** Replicas of the same model, any one of which would make room by leaving. */
function replicasInTheWay(ask: ReplicaAsk, ledger: NodeLedger): string[] {
  const siblings = [...ledger.claims].filter(([, claim]) => claim.model === ask.model)
  return siblings
    .map(([replica]) => replica)
    .filter((replica) => findSeat(ask, without(ledger, replica)) !== undefined)
    .sort()
}

function portLacking(ledger: NodeLedger): Rejection[] {
  if (hasFreePort(ledger)) return []
  const { name, enginePorts } = ledger.node
  return [
    {
      node: name,
      reason: 'no_port',
      message: `every port of ${name} from ${enginePorts.first} to ${enginePorts.last} is taken; widen the agent's --engine-ports`,
    },
  ]
}

function hostLacking(ask: ReplicaAsk, ledger: NodeLedger): Rejection[] {
  const kinds = ask.footprint.deviceKinds
  const onlyOnCpu = ask.footprint.devices > 0 && kinds.every((kind) => kind === 'cpu')
  if (onlyOnCpu || hostFits(ask, ledger)) return []
  const { node, host } = ledger
  const needBytes = ask.footprint.hostMemoryBytes
  const need = bytesText(needBytes, 'up')
  if (host === undefined) {
    const message = `needs ${need} of main memory beside its devices, but ${node.name} does not report its main memory`
    return [{ node: node.name, reason: 'host_memory', message, needBytes }]
  }
  if (!host.device.healthy) return kinds.includes('cpu') ? [] : [unhealthy(ledger, host)]
  const haveBytes = Math.max(0, host.freeBytes)
  return [
    {
      node: node.name,
      device: host.device.id,
      reason: 'host_memory',
      message: `needs ${need} of main memory; ${node.name} has ${bytesText(haveBytes, 'down')} of ${bytesText(host.device.memoryBytes, 'down')} left for replicas; ${howMemoryFits(needBytes, host, '')}`,
      needBytes,
      haveBytes,
    },
  ]
}

function devicesLacking(ask: ReplicaAsk, ledger: NodeLedger): Rejection[] {
  const { devices, deviceKinds } = ask.footprint
  if (devices === 0) return []
  const present = deviceKinds.filter((kind) => ledger.devices.some((entry) => entry.device.kind === kind))
  if (present.length === 0) {
    const kinds = [...new Set(ledger.devices.map((entry) => entry.device.kind))]
    const message = `needs a device of kind ${deviceKinds.join(' or ')}; ${ledger.node.name} has ${kinds.length > 0 ? `only ${kinds.join(', ')}` : 'no device'}; add a node that has one, or choose another engine`
    return [{ node: ledger.node.name, reason: 'device_kind', message }]
  }
  return present.flatMap((kind) => kindLacking(ask, ledger, kind))
}

/** Empty when devices of this kind would do, so that something else is what lacks. */
function kindLacking(ask: ReplicaAsk, ledger: NodeLedger, kind: DeviceKind): Rejection[] {
  const { devices } = ask.footprint
  const groups = deviceGroups(ask, ledger, kind)
  const needBytes = needOn(ask, kind)
  const nearest = nearestGroup(groups, devices)
  const limiting = nearest?.[devices - 1]
  if (limiting !== undefined && limiting.freeBytes >= needBytes) return []
  const broken = ledger.devices
    .filter(({ device }) => device.kind === kind && !device.healthy)
    .map((entry) => unhealthy(ledger, entry))
  if (nearest === undefined || limiting === undefined) {
    const most = Math.max(0, ...groups.map((group) => group.length))
    if (most === 0 && broken.length > 0 && devices === 1) return broken
    const equal = devices > 1 ? ' of one model' : ''
    const message = `needs ${devices} healthy ${kind} device${devices > 1 ? 's' : ''}${equal}; ${ledger.node.name} has ${most}; ${most > 0 ? `--gpus ${most} would match it, when the memory does` : 'add a node that has them'}`
    return [{ node: ledger.node.name, reason: 'device_count', message }, ...broken]
  }
  const haveBytes = Math.max(0, limiting.freeBytes)
  const { device } = limiting
  const message = `needs ${bytesText(needBytes, 'up')} on ${devices > 1 ? `each of ${devices} ${kind} devices` : `a ${kind} device`}; ${device.id} (${device.model}) has ${bytesText(haveBytes, 'down')} of ${bytesText(device.memoryBytes, 'down')} free${otherUse(limiting)}; ${howMemoryFits(needBytes, limiting, moreDevices(ask, nearest, kind))}`
  return [
    { node: ledger.node.name, device: device.id, reason: 'memory', message, needBytes, haveBytes },
    ...broken,
  ]
}

/** The group whose n-th freest device is the freest, freest first; undefined when none has n. */
function nearestGroup(groups: DeviceLedger[][], devices: number): DeviceLedger[] | undefined {
  let best: DeviceLedger[] | undefined
  for (const group of groups) {
    if (group.length < devices) continue
    const sorted = [...group].sort(
      (a, b) => b.freeBytes - a.freeBytes || (a.device.id < b.device.id ? -1 : 1),
    )
    if (
      (sorted[devices - 1]?.freeBytes ?? 0) > (best?.[devices - 1]?.freeBytes ?? Number.NEGATIVE_INFINITY)
    ) {
      best = sorted
    }
  }
  return best
}

function otherUse({ device, othersBytes }: DeviceLedger): string {
  if (othersBytes === 0) return ''
  const who = device.kind === 'cpu' ? 'kept for the machine' : 'used by others'
  return ` (${bytesText(othersBytes, 'up')} ${who})`
}

function howMemoryFits(needBytes: number, entry: DeviceLedger, alternative: string): string {
  const lackBytes = needBytes - Math.max(0, entry.freeBytes)
  if (entry.capacityBytes >= needBytes) {
    return `it fits when ${bytesText(lackBytes, 'up')} of what is placed there goes, or with ${smaller(entry.freeBytes)}${alternative}`
  }
  return `it never fits there; it would with ${smaller(entry.capacityBytes)} once nothing else is placed there${alternative}`
}

function smaller(bytes: number): string {
  return bytes > 0
    ? `a smaller context or quantization that needs at most ${bytesText(bytes, 'down')}`
    : 'another node'
}

/** How many devices of the group would share the load; about, since what is not sharded stays on each. */
function moreDevices(ask: ReplicaAsk, group: readonly DeviceLedger[], kind: DeviceKind): string {
  const { devices, bytesPerDevice } = ask.footprint
  if (kind === 'cpu') return ''
  for (let count = devices + 1; count <= group.length; count++) {
    const shareBytes = (bytesPerDevice * devices) / count
    const equals = group.filter((entry) => entry.device.model === group[0]?.device.model)
    if ((equals[count - 1]?.freeBytes ?? -1) >= shareBytes) return `, or with about --gpus ${count}`
  }
  return ''
}

function unhealthy({ node }: NodeLedger, { device }: DeviceLedger): Rejection {
  return {
    node: node.name,
    device: device.id,
    reason: 'device_unhealthy',
    message: `${device.id} (${device.model}) of ${node.name} is not healthy: ${device.problem ?? 'its driver reports a fault'}; reset or replace it`,
  }
}
