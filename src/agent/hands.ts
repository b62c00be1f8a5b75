import { join } from 'node:path'
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { buildTiny, type TinyKind } from '../engines/tiny/build.ts'
import { amdProbe } from './devices/amd-probe.ts'
import { ascendProbe } from './devices/ascend-probe.ts'
import { cpuProbe } from './devices/cpu-probe.ts'
import type { DeviceProbe } from './devices/device-probe.ts'
import { readGroupCpus, readMachineMemory } from './devices/machine-memory.ts'
import { nvidiaProbe } from './devices/nvidia-probe.ts'
import { systemFiles } from './devices/system-files.ts'
import type { AgentDisk } from './disk/agent-disk.ts'
import { lockDir } from './disk/dir-lock.ts'
import { openFileDisk } from './disk/file-disk.ts'
import { type EngineHttp, loopbackHttp } from './http/engine-http.ts'
import type { EngineLogs, LogLimits } from './logs/engine-logs.ts'
import { fileLogs } from './logs/file-logs.ts'
import { type EnginePorts, machinePorts } from './ports/engine-ports.ts'
import { procProcessTable } from './processes/proc-process-table.ts'
import { processExec } from './processes/process-exec.ts'
import { processSpawner } from './processes/process-spawner.ts'
import { psProcessTable } from './processes/process-table.ts'
import { type FindProgram, findProgramOn } from './processes/programs.ts'
import type { Spawner } from './processes/spawner.ts'
import { diskModelFiles } from './sources/disk-model-files.ts'
import type { ModelFiles } from './sources/model-files.ts'

/** All that the agent does to its machine. A test or a simulation gives others. */
export interface AgentHands {
  readonly disk: AgentDisk
  readonly logs: EngineLogs
  readonly models: ModelFiles
  readonly spawner: Spawner
  readonly ports: EnginePorts
  readonly http: EngineHttp
  readonly probes: readonly DeviceProbe[]
  readonly findProgram: FindProgram
}

export interface MachineHands extends AgentHands {
  /** Processors that this machine, or the container it is, may use. */
  readonly cpuCount: number
  /** Gives the directory up. */
  close(): Promise<void>
}

/** What the machine's own tools can't tell. */
export interface Machine {
  readonly pid: number
  /** `process.platform`. */
  readonly os: string
  readonly env: Readonly<Record<string, string | undefined>>
  readonly cpuCount: number
  readonly cpuModel: string
  readonly memoryBytes: number
}

/**
 * The real hands on this machine, with state in `<dataDir>/agent`. One agent at a time may have them: `close` gives
 * them up. Faults: `data_dir_unusable`, `data_dir_newer`.
 */
export async function openAgentHands(deps: {
  readonly dataDir: string
  readonly clock: Clock
  readonly log: Log
  readonly machine: Machine
  readonly logLimits?: LogLimits
}): Promise<MachineHands> {
  const { clock, machine } = deps
  const dir = join(deps.dataDir, 'agent')
  const exec = processExec({ clock, env: machine.env })
  const table = machine.os === 'linux' ? procProcessTable() : psProcessTable(exec)
  const disk = await openFileDisk(dir, deps.log)
  const quota = await readGroupCpus(systemFiles)
  const cpuCount = Math.max(1, Math.min(machine.cpuCount, Math.ceil(quota ?? machine.cpuCount)))
  const release = await lockDir(dir, { pid: machine.pid, table, clock })
  return {
    disk,
    logs: fileLogs({
      dir: join(dir, 'logs'),
      clock,
      ...(deps.logLimits === undefined ? {} : { limits: deps.logLimits }),
    }),
    models: diskModelFiles({ dir: join(dir, 'models'), build: (name) => buildTiny(name as TinyKind) }),
    spawner: processSpawner({ table, files: systemFiles }),
    ports: machinePorts(systemFiles),
    http: loopbackHttp(clock),
    findProgram: findProgramOn(machine.env),
    probes: [
      nvidiaProbe({ exec, sharedMemory: () => readMachineMemory(systemFiles) }),
      amdProbe({ exec, files: systemFiles }),
      ascendProbe({ exec }),
      cpuProbe({
        files: systemFiles,
        cpuCount,
        fallback: { model: machine.cpuModel, totalBytes: machine.memoryBytes },
      }),
    ],
    cpuCount,
    close: release,
  }
}
