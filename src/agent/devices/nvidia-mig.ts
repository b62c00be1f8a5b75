import type { Device } from '../../domain/node.ts'

/** One MIG instance as `nvidia-smi -L` lists it under its card. */
export interface MigInstance {
  readonly cardUuid: string
  readonly index: number
  readonly uuid: string
  /** `1g.5gb`, `1c.3g.20gb`, `1g.10gb+me` … */
  readonly profile: string
}

/** Reads `nvidia-smi -L`. */
export function parseMigInstances(text: string): MigInstance[] {
  const found: MigInstance[] = []
  let cardUuid: string | undefined
  for (const line of text.split('\n')) {
    const uuid = /\(UUID: ([\w/-]{1,150})\)/.exec(line)?.[1]
    if (/^GPU \d+:/.test(line)) {
      cardUuid = uuid
      continue
    }
    const match = /^\s+MIG (\S{1,40})\s+Device\s+(\d{1,4}):/.exec(line)
    if (!match?.[1] || !match[2] || cardUuid === undefined || !uuid?.startsWith('MIG-')) continue
    found.push({ cardUuid, index: Number(match[2]), uuid, profile: match[1] })
  }
  return found
}

/** Memory of each instance from `nvidia-smi -q -x`, by `cardUuid/index`. */
export function parseMigMemory(
  xml: string,
): ReadonlyMap<string, { readonly totalBytes: number; readonly usedBytes: number | undefined }> {
  const found = new Map<string, { totalBytes: number; usedBytes: number | undefined }>()
  for (const card of xml.split('<gpu ').slice(1)) {
    const [head = '', ...instances] = card.split('<mig_device>')
    const cardUuid = /<uuid>(GPU-[\w-]{1,100})<\/uuid>/.exec(
      head + card.slice(card.lastIndexOf('</mig_device>')),
    )?.[1]
    for (const instance of cardUuid === undefined ? [] : instances) {
      const index = /<index>(\d{1,4})<\/index>/.exec(instance)?.[1]
      const memory = between(instance, '<fb_memory_usage>', '</fb_memory_usage>')
      const totalBytes = mebibytesIn(memory, 'total')
      if (index === undefined || totalBytes === undefined) continue
      found.set(`${cardUuid}/${Number(index)}`, { totalBytes, usedBytes: mebibytesIn(memory, 'used') })
    }
  }
  return found
}

/** Instances as devices of their own. What a card can't do (a fault), its instances can't either. */
export function migDevices(
  card: Device,
  instances: readonly MigInstance[],
  memory: ReturnType<typeof parseMigMemory>,
): Device[] {
  return instances
    .filter((instance) => instance.cardUuid === card.id)
    .map((instance) => {
      const known = memory.get(`${instance.cardUuid}/${instance.index}`)
      return {
        id: instance.uuid,
        kind: 'cuda' as const,
        model: `${card.model} MIG ${instance.profile}`,
        memoryBytes: known?.totalBytes ?? profileBytes(instance.profile),
        ...(known?.usedBytes === undefined ? {} : { memoryUsedBytes: known.usedBytes }),
        healthy: card.healthy,
        ...(card.problem === undefined ? {} : { problem: card.problem }),
      }
    })
}

/** An instance holds a little less than its name says: 1g.5gb of an A100 has 4,864 MiB. */
function profileBytes(profile: string): number {
  const gigabytes = /(\d{1,4})gb/.exec(profile)?.[1]
  return gigabytes === undefined ? 0 : Math.floor(Number(gigabytes) * 0.94 * 1024) * 1024 * 1024
}

function mebibytesIn(text: string, tag: string): number | undefined {
  const match = new RegExp(`<${tag}>(\\d{1,12}) MiB</${tag}>`).exec(text)?.[1]
  return match === undefined ? undefined : Number(match) * 1024 * 1024
}

function between(text: string, open: string, close: string): string {
  const start = text.indexOf(open)
  const end = text.indexOf(close, start)
  return start < 0 || end < 0 ? '' : text.slice(start, end)
}
