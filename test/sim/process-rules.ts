import type { Placement } from '../../src/domain/replica.ts'
import type { EngineProcess } from './sim-machine.ts'

/** Checks the engines that run, at each start and each end, against what they may do. */
export class ProcessRules {
  readonly #ready = new Set<string>()
  readonly #deps: {
    readonly violation: (text: string) => void
    readonly placementOf: (replica: string) => Placement | undefined
    readonly living: () => readonly EngineProcess[]
    readonly devicesOf: (node: string) => ReadonlyMap<string, number>
  }

  constructor(deps: {
    readonly violation: (text: string) => void
    readonly placementOf: (replica: string) => Placement | undefined
    readonly living: () => readonly EngineProcess[]
    readonly devicesOf: (node: string) => ReadonlyMap<string, number>
  }) {
    this.#deps = deps
  }

  wasReady(replica: string): boolean {
    return this.#ready.has(replica)
  }

  observe(what: 'started' | 'ended' | 'ready', process: EngineProcess): void {
    if (what === 'ready') this.#ready.add(process.ask.replica)
    if (what === 'started') this.#started(process)
  }

  #started(process: EngineProcess): void {
    const { violation, placementOf, living } = this.#deps
    const { replica, command } = process.ask
    const placement = placementOf(replica)
    if (!placement) {
      violation(`${replica} was started and was never placed`)
      return
    }
    if (placement.node !== process.node)
      violation(`${replica} was started on ${process.node}, placed on ${placement.node}`)
    if (placement.port !== process.port)
      violation(`${replica} was started on port ${process.port}, placed on ${placement.port}`)
    const visible = command.env.CUDA_VISIBLE_DEVICES
    const indexes = placement.deviceIds
      .map((id) => id.replace(/^.*gpu/, ''))
      .sort()
      .join(',')
    if (placement.deviceIds.length > 0 && visible?.split(',').sort().join(',') !== indexes) {
      violation(`${replica} was started on devices ${visible}, placed on ${indexes}`)
    }
    const others = living().filter((one) => one !== process)
    for (const one of others) {
      if (one.ask.replica === replica)
        violation(`two processes of ${replica}, on ${one.node} and ${process.node}`)
      if (one.node === process.node && one.port === process.port) {
        violation(
          `${replica} was started on port ${process.port} of ${process.node}, where ${one.ask.replica} runs`,
        )
      }
    }
    for (const id of placement.deviceIds) this.#deviceHolds(process.node, id)
  }

  #deviceHolds(node: string, id: string): void {
    const { violation, placementOf, living, devicesOf } = this.#deps
    const on = living().filter(
      (one) => one.node === node && placementOf(one.ask.replica)?.deviceIds.includes(id),
    )
    const sum = on.reduce((bytes, one) => bytes + (placementOf(one.ask.replica)?.bytesPerDevice ?? 0), 0)
    if (sum > (devicesOf(node).get(id) ?? 0)) {
      violation(`the engines on ${id} hold ${sum} bytes: ${on.map((one) => one.ask.replica).join(', ')}`)
    }
  }
}
