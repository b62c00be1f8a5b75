import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ascendProbe } from './ascend-probe.ts'
import { npuDevices, parseNpuMapping, parseNpuTable } from './npu-smi.ts'

const MIB = 1024 * 1024
const TABLE_910B = `+------------------------------------------------------------------------------------------------+
| npu-smi 24.1.rc1                 Version: 24.1.rc1                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B2C              | OK            | 86.8        35                0    / 0             |
| 0                         | 0000:66:00.0  | 7           0    / 0          59356/ 65536         |
+===========================+===============+====================================================+
| 1     910B2C              | Alarm         | 103.1       37                0    / 0             |
| 0                         | 0000:19:00.0  | 0           0    / 0          3351 / 65536         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| 0       0                 | 1712733       | sglangschedul            | 48954                   |
`
const TABLE_310 = `+----------------------------------------------------------------------------------------------------+
| npu-smi 21.0.4                       Version: 21.0.4.B030                                          |
+-------------------+-----------------+--------------------------------------------------------------+
| NPU     Name      | Health          | Power(W)          Temp(C)              Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)         Memory-Usage(MB)                           |
+===================+=================+==============================================================+
| 6       310       | OK              | 12.8              73             0       / 970               |
| 0       3         | 0000:89:00.0    | 0                 2703 / 8192                                |
+-------------------+-----------------+--------------------------------------------------------------+
| 6       310       | OK              | 12.8              74             0       / 970               |
| 1       4         | 0000:8A:00.0    | NA                2867 / 8192                                |
+===================+=================+==============================================================+
`
const MAPPING = `NPU ID                         Chip ID                        Chip Logic ID                  Chip Name
6                              0                              2                              MiniD
6                              1                              3                              MiniD
6                              4                              -                              Mcu
`

describe('npu-smi', () => {
  test('a board with HBM: memory is the HBM, health is told, processes are not chips', () => {
    expect(npuDevices(parseNpuTable(TABLE_910B), new Map())).toEqual([
      {
        id: '0000:66:00.0',
        kind: 'ascend',
        model: 'Ascend 910B2C',
        index: 0,
        memoryBytes: 65536 * MIB,
        memoryUsedBytes: 59356 * MIB,
        utilization: 0.07,
        temperatureCelsius: 35,
        powerWatts: 86.8,
        healthy: true,
      },
      expect.objectContaining({ index: 1, healthy: false, problem: expect.stringContaining('Alarm') }),
    ])
  })

  test('a card of several chips without HBM is numbered by logic id', () => {
    const devices = npuDevices(parseNpuTable(TABLE_310), parseNpuMapping(MAPPING))
    expect(devices.map(({ id, index, memoryBytes }) => ({ id, index, memoryBytes }))).toEqual([
      { id: '0000:89:00.0', index: 2, memoryBytes: 8192 * MIB },
      { id: '0000:8A:00.0', index: 3, memoryBytes: 8192 * MIB },
    ])
    expect(devices[1]?.utilization).toBeUndefined()
  })

  test('controllers have no logic id', () => {
    expect([...parseNpuMapping(MAPPING).keys()]).toEqual(['6/0', '6/1'])
  })

  test('arbitrary text never throws', () => {
    const line = fc.oneof(fc.string(), fc.constantFrom(...TABLE_910B.split('\n'), ...TABLE_310.split('\n')))
    fc.assert(
      fc.property(fc.array(line), (lines) => {
        npuDevices(parseNpuTable(lines.join('\n')), parseNpuMapping(lines.join('\n')))
      }),
    )
  })

  test('a failing tool is a problem, a missing one is not', async () => {
    expect(await ascendProbe({ exec: async () => ({ kind: 'missing' }) }).read()).toEqual({ kind: 'absent' })
    const exec = async () => ({
      kind: 'exited' as const,
      code: 1,
      stdout: '',
      stderr: 'dcmi module initialize failed. ret is -8005',
    })
    expect(await ascendProbe({ exec }).read()).toMatchObject({
      kind: 'failed',
      problem: expect.stringContaining('dcmi'),
    })
  })
})
