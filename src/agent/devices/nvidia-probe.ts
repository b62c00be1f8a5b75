import type { Device } from '../../domain/node.ts'
import { type DeviceProbe, type Exec, type ExecResult, firstLine, TOOL_TIMEOUT_MS } from './device-probe.ts'
import { migDevices, parseMigInstances, parseMigMemory } from './nvidia-mig.ts'
import { NVIDIA_FIELD_LISTS, type NvidiaCard, parseNvidiaQuery } from './nvidia-smi.ts'

/**
 * NVIDIA GPUs by `nvidia-smi`, one call at a time: concurrent calls slow each other down and a call that a sick driver
 * has made unkillable must not be joined by more. `sharedMemory` tells the machine's memory, for boards whose GPU has
 * none of its own.
 */
export function nvidiaProbe(deps: {
  readonly exec: Exec
  readonly sharedMemory?: () => Promise<
    { readonly totalBytes: number; readonly usedBytes: number } | undefined
  >
}): DeviceProbe {
  let fieldList = 0
  let stuck = false
  const smi = async (argv: readonly string[]): Promise<ExecResult> => {
    if (stuck)
      return { kind: 'failed', message: 'an earlier nvidia-smi still hangs; the driver is not answering' }
    const result = await deps.exec('nvidia-smi', argv, TOOL_TIMEOUT_MS)
    if (result.kind === 'timeout') {
      stuck = true
      void result.ended.then(() => {
        stuck = false
      })
    }
    return result
  }
  const query = async (): Promise<ExecResult> => {
    for (;;) {
      const fields = NVIDIA_FIELD_LISTS[fieldList] ?? []
      const result = await smi([`--query-gpu=${fields.join(',')}`, '--format=csv,noheader,nounits'])
      const refused = result.kind === 'exited' && /not a valid field/i.test(result.stdout + result.stderr)
      if (!refused || fieldList === NVIDIA_FIELD_LISTS.length - 1) return result
      fieldList++
    }
  }
  const withMig = async (cards: readonly NvidiaCard[]): Promise<Device[]> => {
    if (!cards.some((card) => card.mig)) return cards.map((card) => card.device)
    const list = await smi(['-L'])
    const details = await smi(['-q', '-x'])
    const instances = parseMigInstances(list.kind === 'exited' ? list.stdout : '')
    const memory = parseMigMemory(details.kind === 'exited' ? details.stdout : '')
    return cards.flatMap((card) => (card.mig ? migDevices(card.device, instances, memory) : [card.device]))
  }
  return {
    name: 'nvidia-smi',
    async read() {
      const result = await query()
      if (result.kind === 'missing') return { kind: 'absent' }
      if (result.kind === 'timeout') {
        return { kind: 'failed', problem: `nvidia-smi did not answer within ${TOOL_TIMEOUT_MS / 1000} s` }
      }
      if (result.kind === 'failed') return { kind: 'failed', problem: result.message }
      const cards = parseNvidiaQuery(result.stdout, NVIDIA_FIELD_LISTS[fieldList] ?? [])
      // 6 is "No devices were found"; with one lost GPU the others may still be listed beside a bad exit code.
      if (result.code === 6) return { kind: 'devices', devices: [] }
      if (result.code !== 0 && cards.length === 0) {
        return { kind: 'failed', problem: `nvidia-smi failed (${result.code}): ${firstLine(result)}` }
      }
      const shared = cards.some((card) => card.memoryUntold) ? await deps.sharedMemory?.() : undefined
      return { kind: 'devices', devices: await withMig(cards.map((card) => withSharedMemory(card, shared))) }
    },
  }
}

function withSharedMemory(
  card: NvidiaCard,
  shared: { readonly totalBytes: number; readonly usedBytes: number } | undefined,
): NvidiaCard {
  if (!card.memoryUntold || card.mig) return card
  const device: Device = shared
    ? { ...card.device, memoryBytes: shared.totalBytes, memoryUsedBytes: shared.usedBytes }
    : { ...card.device, healthy: false, problem: 'the driver does not tell how much memory it has' }
  return { ...card, device }
}
