import { z } from 'zod'
import { EngineName } from './engine-name.ts'
import { Labels, Name } from './names.ts'

export const DeviceKind = z.enum(['cuda', 'rocm', 'ascend', 'metal', 'cpu'])
export type DeviceKind = z.infer<typeof DeviceKind>

/** One accelerator, or the processors and main memory of the machine as one device of kind `cpu`. */
export const Device = z.object({
  /** Stable across reboots where the hardware tells (a GPU's UUID); `cpu` for the processors. */
  id: z.string().min(1).max(200),
  kind: DeviceKind,
  model: z.string(),
  /** What the vendor's visibility variable takes, when it is not the id. */
  index: z.number().int().nonnegative().optional(),
  memoryBytes: z.number().int().nonnegative(),
  /** In use by anybody when last read; absent when the tool does not tell. */
  memoryUsedBytes: z.number().int().nonnegative().optional(),
  utilization: z.number().min(0).max(1).optional(),
  temperatureCelsius: z.number().optional(),
  powerWatts: z.number().optional(),
  healthy: z.boolean(),
  /** Why it is not healthy. */
  problem: z.string().optional(),
})
export type Device = Readonly<z.infer<typeof Device>>

export const PortRange = z.object({
  first: z.number().int().min(1).max(65535),
  last: z.number().int().min(1).max(65535),
})
export type PortRange = Readonly<z.infer<typeof PortRange>>

/** A registered machine: what was asked of it and who it is. Written by the API only. */
export const Node = z.object({
  name: Name,
  labels: Labels,
  cordoned: z.boolean(),
  /** Where control and gateways reach the agent, for example `http://10.0.0.7:7702`. */
  agentUrl: z.string(),
  /** Names one run of one agent's data directory; a second agent with this name is refused. */
  agentId: z.string(),
  registeredAtMs: z.number(),
})
export type Node = Readonly<z.infer<typeof Node>>

/** A replica as found running (or being started or stopped) on its node, also when nothing asked for it. */
export const LocalOccupancy = z.object({
  replica: z.string(),
  deviceIds: z.array(z.string()),
  bytesPerDevice: z.number().int().nonnegative(),
  hostMemoryBytes: z.number().int().nonnegative(),
  port: z.number().int(),
})
export type LocalOccupancy = Readonly<z.infer<typeof LocalOccupancy>>

/** What a node is. Written by its agent (through the API) only, and only when something changed. */
export const NodeStatus = z.object({
  name: Name,
  version: z.string(),
  platform: z.string(),
  devices: z.array(Device),
  engines: z.array(EngineName),
  enginePorts: PortRange,
  /** Ports of the range that somebody else listens on. */
  takenPorts: z.array(z.number().int()),
  occupancy: z.array(LocalOccupancy),
})
export type NodeStatus = Readonly<z.infer<typeof NodeStatus>>
