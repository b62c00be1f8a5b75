import { type FileHandle, open, stat } from 'node:fs/promises'
import { ggufFacts, ggufSplit } from '../../engines/gguf/facts.ts'
import type { Gguf } from '../../engines/gguf/gguf.ts'
import { type GgufResult, readGguf } from '../../engines/gguf/read.ts'
import { invalid, type LocatedModel, missing, type Unusable } from './model-files.ts'

/**
 * Checks a GGUF file (of a split one, all its parts) before any engine sees it: some engines trust the sizes it states,
 * and some end with the process that loads it when a key is missing.
 */
export async function locateGgufFile(path: string): Promise<LocatedModel | Unusable> {
  const first = await readHeader(path)
  if (first.kind === 'invalid') return invalid(first.reason, `${path}: ${first.message}`)
  const facts = ggufFacts(first.gguf)
  if (facts.kind === 'invalid') return invalid(facts.reason, `${path}: ${facts.message}`)
  const { part, parts } = ggufSplit(first.gguf)
  if (part !== 0) {
    return invalid('not_first_part', `${path} is part ${part + 1} of ${parts}; give the first one`)
  }
  let { weightBytes, fileBytes } = facts.facts
  for (let number = 2; number <= parts; number++) {
    const partPath = pathOfPart(path, number, parts)
    if (partPath === undefined) {
      return invalid(
        'bad_part_name',
        `${path} is split but its name does not end in -00001-of-${pad(parts)}.gguf`,
      )
    }
    if (!(await isFile(partPath))) return missing(`${partPath} is missing; the model has ${parts} parts`)
    const more = await readHeader(partPath)
    if (more.kind === 'invalid') return invalid(more.reason, `${partPath}: ${more.message}`)
    weightBytes += tensorBytes(more.gguf)
    fileBytes += more.gguf.fileBytes
  }
  const rank = facts.facts.isAdapter ? adapterRank(first.gguf) : undefined
  return {
    kind: 'located',
    modelRef: path,
    facts: { ...facts.facts, weightBytes, fileBytes },
    ...(rank === undefined ? {} : { rank }),
  }
}

async function readHeader(path: string): Promise<GgufResult> {
  const file = await open(path, 'r')
  try {
    return await readGguf((offset, length) => readAt(file, offset, length), (await file.stat()).size)
  } finally {
    await file.close()
  }
}

async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const buffer = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(buffer, done, length - done, offset + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return buffer.subarray(0, done)
}

/** `model-00001-of-00003.gguf` → `model-00002-of-00003.gguf`. */
function pathOfPart(path: string, number: number, parts: number): string | undefined {
  const end = `-${pad(1)}-of-${pad(parts)}.gguf`
  return path.endsWith(end) && parts <= 99_999
    ? `${path.slice(0, -end.length)}-${pad(number)}-of-${pad(parts)}.gguf`
    : undefined
}

function pad(number: number): string {
  return String(number).padStart(5, '0')
}

function tensorBytes(gguf: Gguf): number {
  return gguf.tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0)
}

/** The inner dimension of `lora_a` [in, r]. */
function adapterRank(gguf: Gguf): number | undefined {
  return gguf.tensors.find((tensor) => tensor.name.endsWith('.lora_a'))?.dims[1]
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  )
}
