import { type DeviceProbe, type Exec, firstLine, TOOL_TIMEOUT_MS } from './device-probe.ts'
import { npuDevices, parseNpuMapping, parseNpuTable } from './npu-smi.ts'

/** Ascend NPUs by `npu-smi`. */
export function ascendProbe(deps: { readonly exec: Exec }): DeviceProbe {
  return {
    name: 'npu-smi',
    async read() {
      const info = await deps.exec('npu-smi', ['info'], TOOL_TIMEOUT_MS)
      if (info.kind === 'missing') return { kind: 'absent' }
      if (info.kind === 'timeout') {
        return { kind: 'failed', problem: `npu-smi did not answer within ${TOOL_TIMEOUT_MS / 1000} s` }
      }
      if (info.kind === 'failed') return { kind: 'failed', problem: `npu-smi: ${info.message}` }
      const chips = parseNpuTable(info.stdout)
      if (info.code !== 0 && chips.length === 0) {
        return { kind: 'failed', problem: `npu-smi failed (${info.code}): ${firstLine(info)}` }
      }
      const mapping = await deps.exec('npu-smi', ['info', '-m'], TOOL_TIMEOUT_MS)
      const logicIds = parseNpuMapping(mapping.kind === 'exited' ? mapping.stdout : '')
      return { kind: 'devices', devices: npuDevices(chips, logicIds) }
    },
  }
}
