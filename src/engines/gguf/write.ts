import type { GgufArray, GgufValue } from './gguf.ts'
import { type TensorTypeName, tensorBytes, tensorType } from './tensor-types.ts'
import { VALUE_TYPES } from './values.ts'

/** A tensor with its data as stored: `data.length` is exactly what the type and shape need. */
export interface TensorToWrite {
  readonly name: string
  readonly dims: readonly number[]
  readonly type: TensorTypeName
  readonly data: Uint8Array
}

/**
 * A GGUF v3 file. The same input gives the same bytes: keys and tensors keep their order, padding is zero. Throws a
 * RangeError for a tensor whose data does not fit its shape: that is a fault of the caller, not of a file.
 */
export function writeGguf(
  metadata: Iterable<readonly [string, GgufValue]>,
  tensors: readonly TensorToWrite[],
): Uint8Array {
  const pairs = [...metadata]
  const alignment = pairs.find(([key]) => key === 'general.alignment')?.[1]
  const alignmentBytes = alignment?.type === 'uint32' ? alignment.value : 32
  const sink = new Sink()
  sink.uint32(0x46554747)
  sink.uint32(3)
  sink.uint64(BigInt(tensors.length))
  sink.uint64(BigInt(pairs.length))
  for (const [key, value] of pairs) {
    sink.string(key)
    sink.uint32(typeId(value.type))
    writeValue(sink, value)
  }
  let offset = 0
  for (const tensor of tensors) {
    const type = tensorType(tensor.type)
    if (tensorBytes(type, tensor.dims) !== tensor.data.length) {
      throw new RangeError(`the data of tensor "${tensor.name}" does not have the size of its shape`)
    }
    sink.string(tensor.name)
    sink.uint32(tensor.dims.length)
    for (const dim of tensor.dims) sink.uint64(BigInt(dim))
    sink.uint32(type.id)
    sink.uint64(BigInt(offset))
    offset = alignUp(offset + tensor.data.length, alignmentBytes)
  }
  for (const tensor of tensors) {
    sink.align(alignmentBytes)
    sink.bytes(tensor.data)
  }
  sink.align(alignmentBytes)
  return sink.finish()
}

function writeValue(sink: Sink, value: GgufValue): void {
  if (value.type === 'array') writeArray(sink, value)
  else writeScalar(sink, value.type, value.value)
}

function writeArray(sink: Sink, array: GgufArray): void {
  if (array.items?.length !== array.length)
    throw new RangeError('an array without its items cannot be written')
  sink.uint32(typeId(array.of))
  sink.uint64(BigInt(array.length))
  for (const item of array.items) {
    if (typeof item === 'object') writeArray(sink, item)
    else if (array.of !== 'array') writeScalar(sink, array.of, item)
    else throw new RangeError('an array of arrays holds something else')
  }
}

function writeScalar(
  sink: Sink,
  type: Exclude<GgufValue['type'], 'array'>,
  value: number | bigint | boolean | string,
): void {
  switch (type) {
    case 'string':
      sink.string(String(value))
      break
    case 'bool':
      sink.uint8(value ? 1 : 0)
      break
    case 'uint64':
    case 'int64':
      sink.uint64(BigInt.asUintN(64, BigInt(value)))
      break
    case 'float32':
      sink.float32(Number(value))
      break
    case 'float64':
      sink.float64(Number(value))
      break
    case 'uint8':
    case 'int8':
      sink.uint8(Number(value) & 0xff)
      break
    case 'uint16':
    case 'int16':
      sink.uint16(Number(value) & 0xffff)
      break
    case 'uint32':
    case 'int32':
      sink.uint32(Number(value) >>> 0)
  }
}

function typeId(type: GgufValue['type']): number {
  return VALUE_TYPES.indexOf(type)
}

function alignUp(position: number, alignmentBytes: number): number {
  return Math.ceil(position / alignmentBytes) * alignmentBytes
}

/** Little-endian bytes that grow. Growing replaces the buffer: take the position first, then touch the buffer. */
class Sink {
  readonly #text = new TextEncoder()
  #bytes = new Uint8Array(64 * 1024)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  uint8(value: number): void {
    const start = this.#grow(1)
    this.#view.setUint8(start, value)
  }

  uint16(value: number): void {
    const start = this.#grow(2)
    this.#view.setUint16(start, value, true)
  }

  uint32(value: number): void {
    const start = this.#grow(4)
    this.#view.setUint32(start, value, true)
  }

  uint64(value: bigint): void {
    const start = this.#grow(8)
    this.#view.setBigUint64(start, value, true)
  }

  float32(value: number): void {
    const start = this.#grow(4)
    this.#view.setFloat32(start, value, true)
  }

  float64(value: number): void {
    const start = this.#grow(8)
    this.#view.setFloat64(start, value, true)
  }

  bytes(bytes: Uint8Array): void {
    const start = this.#grow(bytes.length)
    this.#bytes.set(bytes, start)
  }

  string(text: string): void {
    const bytes = this.#text.encode(text)
    this.uint64(BigInt(bytes.length))
    this.bytes(bytes)
  }

  /** Zeros up to the next multiple. */
  align(alignmentBytes: number): void {
    this.#grow(alignUp(this.#length, alignmentBytes) - this.#length)
  }

  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length)
  }

  #grow(byteCount: number): number {
    const start = this.#length
    this.#length += byteCount
    if (this.#length > this.#bytes.length) {
      const bigger = new Uint8Array(Math.max(this.#length, this.#bytes.length * 2))
      bigger.set(this.#bytes)
      this.#bytes = bigger
      this.#view = new DataView(bigger.buffer)
    }
    return start
  }
}
