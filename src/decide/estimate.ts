import type { ModelFacts } from '../domain/facts.ts'
import type { Footprint } from '../domain/footprint.ts'
import type { ModelTemplate } from '../domain/model.ts'
import type { DeviceKind } from '../domain/node.ts'
import { MIB } from './bytes-text.ts'
import { llamaNeed } from './estimate-llama.ts'
import { fractionFlag, pagedNeed } from './estimate-paged.ts'
import type { AdapterFacts, Need } from './need.ts'

export type Estimate =
  | { readonly kind: 'footprint'; readonly footprint: Footprint }
  /** It can't be known; `message` says what to state by hand. */
  | {
      readonly kind: 'unknown'
      readonly reason: 'facts_missing' | 'not_stated' | 'not_a_model'
      readonly message: string
    }

/** A simulated engine is one Node process. */
const SIM_BYTES = 128 * MIB

const ACCELERATORS: readonly DeviceKind[] = ['cuda', 'rocm', 'ascend', 'metal']

/**
 * What a replica of `template` needs. What is stated in `resources` wins, field by field; the rest is computed
 * from the measured facts, for the context and concurrency of `servingLimits`. `engineKinds` are the engine's kinds
 * of device in order of preference. `--gpus 0` means the processors where the engine can use them. Unknown is an
 * answer, never zero.
 */
export function estimate(
  template: ModelTemplate,
  facts: ModelFacts | undefined,
  engineKinds: readonly DeviceKind[],
  adapterFacts: AdapterFacts = {},
): Estimate {
  if (template.engine === 'external') return footprint([], 0, { parts: [], hostMemoryBytes: 0 })
  const { deviceKinds, devices } = wantedDevices(template, engineKinds)
  const need =
    statedNeed(template, devices) ?? computedNeed(template, facts, deviceKinds, devices, adapterFacts)
  if ('kind' in need) return need
  return footprint(deviceKinds, devices, {
    parts: need.parts,
    hostMemoryBytes: template.resources.hostMemoryBytes ?? need.hostMemoryBytes,
  })
}

function wantedDevices(
  { resources }: ModelTemplate,
  engineKinds: readonly DeviceKind[],
): Pick<Footprint, 'deviceKinds' | 'devices'> {
  if (resources.devices === 0) {
    return engineKinds.includes('cpu')
      ? { deviceKinds: ['cpu'], devices: 1 }
      : { deviceKinds: [], devices: 0 }
  }
  if (resources.deviceKind !== undefined) {
    return { deviceKinds: [resources.deviceKind], devices: resources.devices ?? 1 }
  }
  if (engineKinds.length > 0) return { deviceKinds: engineKinds, devices: resources.devices ?? 1 }
  return resources.devices === undefined
    ? { deviceKinds: [], devices: 0 }
    : { deviceKinds: ACCELERATORS, devices: resources.devices }
}

function statedNeed({ resources }: ModelTemplate, devices: number): Need | undefined {
  const { memoryBytes, hostMemoryBytes } = resources
  if (memoryBytes === undefined) {
    const allStated = devices === 0 && hostMemoryBytes !== undefined
    return allStated ? { parts: [], hostMemoryBytes } : undefined
  }
  // Without a device the only memory that can be meant is the machine's.
  if (devices === 0) return { parts: [], hostMemoryBytes: hostMemoryBytes ?? memoryBytes }
  return { parts: [{ name: 'stated by hand', bytes: memoryBytes }], hostMemoryBytes: hostMemoryBytes ?? 0 }
}

type Unknown = Extract<Estimate, { kind: 'unknown' }>

function computedNeed(
  template: ModelTemplate,
  facts: ModelFacts | undefined,
  deviceKinds: readonly DeviceKind[],
  devices: number,
  adapterFacts: AdapterFacts,
): Need | Unknown {
  const { engine, source } = template
  if (engine === 'sim') return simNeed(deviceKinds, devices)
  if (engine === 'command') {
    return unknown('not_stated', `what ${source} needs is not known; state it: ${statedExample(devices)}`)
  }
  if (facts === undefined) {
    return unknown(
      'facts_missing',
      `the size of ${source} is not known yet; wait until a node has looked at it, or state it: ${statedExample(devices)}`,
    )
  }
  if (facts.weightBytes === 0 && !facts.isAdapter) {
    return unknown(
      'facts_missing',
      `the weights of ${source} could not be measured; state the need: ${statedExample(devices)}`,
    )
  }
  if (facts.isAdapter || facts.layers === 0) {
    return unknown(
      'not_a_model',
      `${source} is not a model that can be served alone; load its base model with this as an adapter`,
    )
  }
  if (engine === 'llama' || engine === 'llama-server') {
    return llamaNeed(template, facts, deviceKinds, devices, adapterFacts)
  }
  const flag = fractionFlag(template)
  if (flag !== undefined) {
    return unknown(
      'not_stated',
      `--${flag} takes a share of whatever device it gets, so the bytes are not known; leave it out or add --memory 20GiB`,
    )
  }
  return pagedNeed(template, facts, devices, adapterFacts)
}

function simNeed(deviceKinds: readonly DeviceKind[], devices: number): Need {
  if (devices === 0) return { parts: [], hostMemoryBytes: SIM_BYTES }
  return {
    parts: [{ name: 'simulated engine', bytes: SIM_BYTES }],
    hostMemoryBytes: deviceKinds.every((kind) => kind === 'cpu') ? 0 : SIM_BYTES,
  }
}

function statedExample(devices: number): string {
  return devices === 0 ? '--memory 2GiB, or --gpus 1 --memory 20GiB' : `--gpus ${devices} --memory 20GiB`
}

function unknown(reason: Unknown['reason'], message: string): Unknown {
  return { kind: 'unknown', reason, message }
}

function footprint(deviceKinds: readonly DeviceKind[], devices: number, need: Need): Estimate {
  const parts = need.parts
    .filter((part) => part.bytes > 0)
    .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1))
  return {
    kind: 'footprint',
    footprint: {
      deviceKinds: [...deviceKinds],
      devices,
      bytesPerDevice: parts.reduce((sum, part) => sum + part.bytes, 0),
      hostMemoryBytes: need.hostMemoryBytes,
      parts,
    },
  }
}
