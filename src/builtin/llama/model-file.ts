import { type FileHandle, open, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { errorText } from '../../base/errors.ts'
import type { ModelFacts } from '../../domain/facts.ts'
import { ggufFacts, ggufSplit } from '../../engines/gguf/facts.ts'
import { type Gguf, ggufString } from '../../engines/gguf/gguf.ts'
import { readGguf } from '../../engines/gguf/read.ts'

/** Why something could not be loaded. `reason` is stable, `message` is for people. */
export interface LoadFailure {
  readonly kind: 'failed'
  readonly reason: string
  readonly message: string
}

export interface ModelFile {
  readonly kind: 'ok'
  readonly path: string
  readonly facts: ModelFacts
  /** Bytes of all tensors of all parts. */
  readonly weightBytes: number
  readonly chatTemplate: string | undefined
  /** Changes when the file does. */
  readonly stamp: string
}

/**
 * Reads a model's or an adapter's header and checks it, all parts of a split model too. llama.cpp gets no file that
 * did not pass: some broken files end its process instead of failing the load.
 */
export async function inspectModelFile(path: string): Promise<ModelFile | LoadFailure> {
  const first = await inspectPart(path)
  if (first.kind === 'failed') return first
  const facts = ggufFacts(first.gguf)
  if (facts.kind === 'invalid') return failure(facts.reason, `${basename(path)}: ${facts.message}`)
  let { weightBytes } = facts.facts
  for (const partPath of otherParts(path, ggufSplit(first.gguf).parts)) {
    const part = await inspectPart(partPath)
    if (part.kind === 'failed') return part
    weightBytes += part.gguf.tensors.reduce((sum, tensor) => sum + tensor.sizeBytes, 0)
  }
  return {
    kind: 'ok',
    path,
    facts: facts.facts,
    weightBytes,
    chatTemplate: ggufString(first.gguf, 'tokenizer.chat_template'),
    stamp: first.stamp,
  }
}

export function failure(reason: string, message: string): LoadFailure {
  return { kind: 'failed', reason, message }
}

type Part = { readonly kind: 'ok'; readonly gguf: Gguf; readonly stamp: string } | LoadFailure

async function inspectPart(path: string): Promise<Part> {
  let file: FileHandle | undefined
  try {
    // Before opening: opening a pipe would wait for somebody to write to it.
    if (!(await stat(path)).isFile()) return failure('file_unreadable', `${path} is not a regular file`)
    file = await open(path, 'r')
    const { size, mtimeMs } = await file.stat()
    const result = await readGguf((offset, lengthBytes) => readAt(file, offset, lengthBytes), size)
    if (result.kind === 'invalid') return failure(result.reason, `${basename(path)}: ${result.message}`)
    return { kind: 'ok', gguf: result.gguf, stamp: `${size}:${mtimeMs}` }
  } catch (error) {
    const missing = (error as { code?: unknown }).code === 'ENOENT'
    return missing
      ? failure('file_missing', `${path} does not exist`)
      : failure('file_unreadable', `${path} cannot be read: ${errorText(error)}`)
  } finally {
    await file?.close()
  }
}

async function readAt(
  file: FileHandle | undefined,
  offset: number,
  lengthBytes: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(lengthBytes)
  let filled = 0
  while (file !== undefined && filled < lengthBytes) {
    const { bytesRead } = await file.read(bytes, filled, lengthBytes - filled, offset + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}

/** Parts are named `x-00001-of-00003.gguf`; llama.cpp finds the others by that name. */
function otherParts(path: string, parts: number): string[] {
  const match = /^(.*)-\d{5}-of-\d{5}\.gguf$/.exec(basename(path))
  if (match === null || parts < 2) return []
  const number = (index: number) => String(index).padStart(5, '0')
  return Array.from({ length: parts }, (_, index) =>
    join(dirname(path), `${match[1]}-${number(index + 1)}-of-${number(parts)}.gguf`),
  ).filter((part) => part !== path)
}
