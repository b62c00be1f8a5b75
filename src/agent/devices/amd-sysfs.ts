import type { Device } from '../../domain/node.ts'
import type { SystemFiles } from './system-files.ts'

const AMD_VENDOR = '0x1002'

/** AMD GPUs as the kernel's driver shows them, for machines without ROCm's tools. */
export async function readAmdSysfs(files: SystemFiles): Promise<Device[]> {
  const cards = (await files.list('/sys/class/drm')).filter((name) => /^card\d{1,4}$/.test(name))
  const devices: Device[] = []
  for (const card of cards.sort((a, b) => Number(a.slice(4)) - Number(b.slice(4)))) {
    const read = async (name: string) =>
      (await files.readText(`/sys/class/drm/${card}/device/${name}`))?.trim()
    const total = whole(await read('mem_info_vram_total'))
    if ((await read('vendor')) !== AMD_VENDOR || total === undefined) continue
    const used = whole(await read('mem_info_vram_used'))
    const busy = whole(await read('gpu_busy_percent'))
    const uniqueId = await read('unique_id')
    devices.push({
      id: uniqueId ? `0x${uniqueId.slice(0, 40)}` : `rocm-${card}`,
      kind: 'rocm',
      model: (await read('product_name')) || 'AMD GPU',
      index: devices.length,
      memoryBytes: total,
      ...(used === undefined ? {} : { memoryUsedBytes: used }),
      ...(busy === undefined ? {} : { utilization: Math.min(1, busy / 100) }),
      healthy: true,
    })
  }
  return devices
}

function whole(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}
