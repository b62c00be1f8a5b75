import type { Device } from '../domain/node.ts'

/**
 * The variables that let a process see exactly these devices, whatever else the machine has.
 *
 * NVIDIA: by UUID, which can't shift; by index (in the order of `nvidia-smi`) for engines that read the variable
 * themselves and know only numbers: vLLM does before mid-2026 (vllm-project/vllm#13815, #41848). A MIG slice has
 * no index and goes by UUID always.
 * AMD: `HIP_VISIBLE_DEVICES` by index, else `ROCR_VISIBLE_DEVICES` by UUID; never both, since the second would
 * renumber what the first counts.
 * Processors only: every accelerator is hidden, so that a build with GPU support leaves them alone.
 */
export function deviceEnvironment(
  devices: readonly Device[],
  cudaBy: 'uuid' | 'index' = 'uuid',
): Readonly<Record<string, string>> {
  switch (devices[0]?.kind) {
    case 'cuda':
      return {
        CUDA_DEVICE_ORDER: 'PCI_BUS_ID',
        CUDA_VISIBLE_DEVICES: cudaBy === 'index' && allIndexed(devices) ? indexes(devices) : ids(devices),
      }
    case 'rocm':
      return allIndexed(devices)
        ? { HIP_VISIBLE_DEVICES: indexes(devices) }
        : { ROCR_VISIBLE_DEVICES: ids(devices) }
    case 'ascend':
      return { ASCEND_RT_VISIBLE_DEVICES: allIndexed(devices) ? indexes(devices) : ids(devices) }
    case 'metal':
      return {}
    default:
      return { CUDA_VISIBLE_DEVICES: '-1', HIP_VISIBLE_DEVICES: '-1', ASCEND_RT_VISIBLE_DEVICES: '-1' }
  }
}

function allIndexed(devices: readonly Device[]): boolean {
  return devices.every((device) => device.index !== undefined && !device.id.startsWith('MIG-'))
}

function indexes(devices: readonly Device[]): string {
  return devices.map((device) => device.index).join(',')
}

function ids(devices: readonly Device[]): string {
  return devices.map((device) => device.id).join(',')
}
