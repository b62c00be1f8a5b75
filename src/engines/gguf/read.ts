import { Cursor, GgufFlaw } from './cursor.ts'
import type { Gguf, GgufInvalid, GgufTensor, GgufValue } from './gguf.ts'
import { tensorBytes, tensorTypeById } from './tensor-types.ts'
import { readValue } from './values.ts'

/**
 * Bytes of a file from `offset`, at most `lengthBytes` of them; fewer only at the file's end. May reject: that is a
 * fault of the disk and passes through `readGguf` unchanged.
 */
export type ReadAt = (offset: number, lengthBytes: number) => Promise<Uint8Array>

export type GgufResult = { readonly kind: 'ok'; readonly gguf: Gguf } | GgufInvalid

export interface GgufReadOptions {
  /** Items of longer arrays are dropped (a vocabulary has 100 000 and more). Default 1024. */
  readonly keepArrayItems?: number
}

/** Caps on what a file may ask of the reader. Far above every published model. */
const LIMITS = {
  headerBytes: 256 * 1024 * 1024,
  keys: 65_536,
  keyBytes: 65_535,
  stringBytes: 16 * 1024 * 1024,
  arrayLength: 16 * 1024 * 1024,
  depth: 3,
  tensors: 262_144,
  dims: 4,
  alignment: 1024 * 1024,
} as const

const FIRST_READ_BYTES = 1024 * 1024

/**
 * Reads a GGUF file's header and checks that every tensor lies within `fileBytes`. Reads only the header, in growing
 * prefixes: a 40 GB file costs a few MiB. What the file says is never trusted: every count, length and depth is
 * capped, and a broken file is a value with its reason.
 */
export async function readGguf(
  readAt: ReadAt,
  fileBytes: number,
  options: GgufReadOptions = {},
): Promise<GgufResult> {
  let wanted = Math.min(FIRST_READ_BYTES, fileBytes)
  for (;;) {
    const prefix = await readAt(0, wanted)
    const result = parse(prefix, fileBytes, options)
    if (result.kind !== 'short') return result
    if (prefix.length < wanted || wanted >= fileBytes) return truncated(fileBytes)
    if (wanted >= LIMITS.headerBytes) {
      return invalid('limit_exceeded', `the header is longer than ${LIMITS.headerBytes} bytes`)
    }
    wanted = Math.min(wanted * 4, fileBytes, LIMITS.headerBytes)
  }
}

/** `readGguf` for a file, or the beginning of one with `fileBytes` bytes, that is in memory. */
export function parseGguf(
  bytes: Uint8Array,
  fileBytes: number = bytes.length,
  options: GgufReadOptions = {},
): GgufResult {
  const result = parse(bytes, fileBytes, options)
  return result.kind === 'short' ? truncated(fileBytes) : result
}

function parse(
  bytes: Uint8Array,
  fileBytes: number,
  options: GgufReadOptions,
): GgufResult | { kind: 'short' } {
  try {
    return { kind: 'ok', gguf: parseHeader(new Cursor(bytes), fileBytes, options) }
  } catch (error) {
    if (!(error instanceof GgufFlaw)) throw error
    return error.reason === 'short' ? { kind: 'short' } : invalid(error.reason, error.message)
  }
}

function parseHeader(cursor: Cursor, fileBytes: number, options: GgufReadOptions): Gguf {
  const version = readVersion(cursor, fileBytes)
  const tensorCount = cursor.count(LIMITS.tensors, 'the number of tensors')
  const keyCount = cursor.count(LIMITS.keys, 'the number of metadata keys')
  const metadata = readMetadata(cursor, keyCount, options.keepArrayItems ?? 1024)
  const alignment = readAlignment(metadata)
  const tensors: GgufTensor[] = []
  for (let index = 0; index < tensorCount; index++) tensors.push(readTensor(cursor, alignment))
  const dataOffset = Math.ceil(cursor.position / alignment) * alignment
  checkTensors(tensors, dataOffset, fileBytes)
  return { version, metadata, tensors, alignment, dataOffset, fileBytes }
}

function readVersion(cursor: Cursor, fileBytes: number): number {
  // A file shorter than the magic is not "cut off": nothing says that it was ever a GGUF.
  if (fileBytes < 4 || cursor.uint32() !== 0x46554747) {
    throw new GgufFlaw('not_gguf', 'the file does not begin with "GGUF"; is it a GGUF file?')
  }
  const version = cursor.uint32()
  if (version === 2 || version === 3) return version
  const why = version >= 0x01000000 ? 'it is stored big-endian' : `its version is ${version}`
  throw new GgufFlaw('unsupported_version', `only little-endian GGUF 2 and 3 can be read, but ${why}`)
}

function readMetadata(cursor: Cursor, keyCount: number, keepItems: number): Map<string, GgufValue> {
  const metadata = new Map<string, GgufValue>()
  for (let index = 0; index < keyCount; index++) {
    const key = cursor.string(LIMITS.keyBytes, 'a metadata key')
    if (metadata.has(key)) throw new GgufFlaw('bad_metadata', `"${key}" is there twice`)
    metadata.set(key, readValue(cursor, key, { ...LIMITS, keepItems }))
  }
  return metadata
}

function readAlignment(metadata: ReadonlyMap<string, GgufValue>): number {
  const found = metadata.get('general.alignment')
  if (found === undefined) return 32
  const { value } = found as { value: unknown }
  const isPowerOfTwo = typeof value === 'number' && value >= 1 && Number.isInteger(Math.log2(value))
  if (found.type !== 'uint32' || !isPowerOfTwo || value > LIMITS.alignment) {
    throw new GgufFlaw('bad_metadata', '"general.alignment" is not a power of two of at most 1 MiB')
  }
  return value
}

function readTensor(cursor: Cursor, alignment: number): GgufTensor {
  const name = cursor.string(LIMITS.keyBytes, 'a tensor name')
  const dimCount = cursor.uint32()
  if (dimCount < 1 || dimCount > LIMITS.dims) {
    throw new GgufFlaw('bad_tensor', `tensor "${name}" has ${dimCount} dimensions`)
  }
  const dims: number[] = []
  for (let index = 0; index < dimCount; index++) {
    dims.push(cursor.count(Number.MAX_SAFE_INTEGER, `a dimension of "${name}"`))
  }
  const typeId = cursor.uint32()
  const type = tensorTypeById(typeId)
  if (type === undefined) {
    throw new GgufFlaw('unknown_tensor_type', `tensor "${name}" has the unknown type ${typeId}`)
  }
  const offset = cursor.count(Number.MAX_SAFE_INTEGER, `the offset of "${name}"`)
  const sizeBytes = tensorBytes(type, dims)
  if (sizeBytes === undefined || sizeBytes === 0) {
    throw new GgufFlaw('bad_tensor', `tensor "${name}" cannot have the shape ${dims.join(' x ')}`)
  }
  if (offset % alignment !== 0) {
    throw new GgufFlaw('bad_tensor', `tensor "${name}" does not begin at a multiple of ${alignment} bytes`)
  }
  return { name, dims, type: type.name, offset, sizeBytes }
}

function checkTensors(tensors: readonly GgufTensor[], dataOffset: number, fileBytes: number): void {
  const names = new Set<string>()
  for (const tensor of tensors) {
    if (names.has(tensor.name)) throw new GgufFlaw('bad_tensor', `tensor "${tensor.name}" is there twice`)
    names.add(tensor.name)
  }
  let endBytes = 0
  for (const tensor of [...tensors].sort((a, b) => a.offset - b.offset)) {
    if (tensor.offset < endBytes) {
      throw new GgufFlaw('bad_tensor', `tensor "${tensor.name}" overlaps the one before it`)
    }
    endBytes = tensor.offset + tensor.sizeBytes
  }
  if (endBytes > 0 && dataOffset + endBytes > fileBytes) {
    throw new GgufFlaw(
      'truncated',
      `the file has ${fileBytes} bytes but its tensors need ${dataOffset + endBytes}; copy or download it again`,
    )
  }
}

function truncated(fileBytes: number): GgufInvalid {
  return invalid(
    'truncated',
    `the file ends within its header, after ${fileBytes} bytes; copy or download it again`,
  )
}

function invalid(reason: GgufInvalid['reason'], message: string): GgufInvalid {
  return { kind: 'invalid', reason, message }
}
