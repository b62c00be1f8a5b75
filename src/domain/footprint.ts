import type { DeviceKind } from './node.ts'

/** What a Replica needs. */
export interface Footprint {
  /** Kinds of device that will do, in order of preference. Empty when it needs no device. */
  readonly deviceKinds: readonly DeviceKind[]
  readonly devices: number
  readonly bytesPerDevice: number
  /** Main memory beside what the devices hold. */
  readonly hostMemoryBytes: number
  /** Where `bytesPerDevice` comes from, largest first, for people. */
  readonly parts: readonly { readonly name: string; readonly bytes: number }[]
}
