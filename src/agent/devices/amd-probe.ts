import { parseAmdSmi } from './amd-smi.ts'
import { readAmdSysfs } from './amd-sysfs.ts'
import { type DeviceProbe, type Exec, firstLine, type ProbeReading, TOOL_TIMEOUT_MS } from './device-probe.ts'
import { parseRocmSmi } from './rocm-smi.ts'
import type { SystemFiles } from './system-files.ts'

/** AMD GPUs: by `amd-smi`, else by `rocm-smi`, else as the kernel shows them. */
export function amdProbe(deps: { readonly exec: Exec; readonly files: SystemFiles }): DeviceProbe {
  const byAmdSmi = amdSmiReader(deps.exec)
  return {
    name: 'amd-smi',
    async read() {
      const problems: string[] = []
      for (const attempt of [byAmdSmi, () => byRocmSmi(deps.exec)]) {
        const reading = await attempt()
        if (reading.kind === 'devices' && reading.devices.length > 0) return reading
        if (reading.kind === 'failed') problems.push(reading.problem)
      }
      const devices = await readAmdSysfs(deps.files)
      if (devices.length > 0) return { kind: 'devices', devices }
      const problem = problems[0]
      return problem === undefined ? { kind: 'absent' } : { kind: 'failed', problem }
    },
  }
}

/** Each call starts a Python program and costs a second of a processor, so what stays the same is asked rarely. */
const FIXED_EVERY_READS = 60

function amdSmiReader(exec: Exec): () => Promise<ProbeReading> {
  let reads = 0
  let fixed: { list: string; fixed: string } | undefined
  return async () => {
    if (fixed === undefined || ++reads >= FIXED_EVERY_READS) {
      reads = 0
      fixed = undefined
      const list = await output(exec, 'amd-smi', ['list', '--json'])
      if (typeof list !== 'string') return list
      const details = await output(exec, 'amd-smi', ['static', '--asic', '--bus', '--vram', '--json'])
      if (typeof details !== 'string') return details
      fixed = { list, fixed: details }
    }
    const metric = await output(exec, 'amd-smi', ['metric', '-m', '-u', '-p', '-t', '--json'])
    if (typeof metric === 'string') return { kind: 'devices', devices: parseAmdSmi({ ...fixed, metric }) }
    fixed = undefined
    return metric
  }
}

async function byRocmSmi(exec: Exec): Promise<ProbeReading> {
  const text = await output(exec, 'rocm-smi', [
    '--showproductname',
    '--showuniqueid',
    '--showbus',
    '--showmeminfo',
    'vram',
    '--showuse',
    '--showtemp',
    '--showpower',
    '--json',
  ])
  return typeof text === 'string' ? { kind: 'devices', devices: parseRocmSmi(text) } : text
}

/** What the tool wrote, or why there is nothing. A bad exit code with JSON in it is still an answer. */
async function output(exec: Exec, tool: string, argv: readonly string[]): Promise<string | ProbeReading> {
  const result = await exec(tool, argv, TOOL_TIMEOUT_MS)
  switch (result.kind) {
    case 'missing':
      return { kind: 'absent' }
    case 'timeout':
      return { kind: 'failed', problem: `${tool} did not answer within ${TOOL_TIMEOUT_MS / 1000} s` }
    case 'failed':
      return { kind: 'failed', problem: `${tool}: ${result.message}` }
    case 'exited':
      return result.code === 0 || /[[{]/.test(result.stdout)
        ? result.stdout
        : { kind: 'failed', problem: `${tool} failed (${result.code}): ${firstLine(result)}` }
  }
}
