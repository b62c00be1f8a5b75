import type { TensorTypeName } from './tensor-types.ts'

/** One metadata value with the type it is stored as. 64-bit integers are bigints so that none is rounded. */
export type GgufValue =
  | {
      readonly type: 'uint8' | 'int8' | 'uint16' | 'int16' | 'uint32' | 'int32' | 'float32' | 'float64'
      readonly value: number
    }
  | { readonly type: 'uint64' | 'int64'; readonly value: bigint }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | GgufArray

/** `items` is absent when the array is longer than the reader was told to keep; `length` always counts it. */
export interface GgufArray {
  readonly type: 'array'
  readonly of: GgufValue['type']
  readonly length: number
  readonly items?: readonly (number | bigint | boolean | string | GgufArray)[]
}

/** A tensor's place in the file. `dims` has the fastest dimension first; `offset` counts from `dataOffset`. */
export interface GgufTensor {
  readonly name: string
  readonly dims: readonly number[]
  readonly type: TensorTypeName
  readonly offset: number
  readonly sizeBytes: number
}

/** All of a GGUF file but the weights themselves. */
export interface Gguf {
  readonly version: number
  readonly metadata: ReadonlyMap<string, GgufValue>
  readonly tensors: readonly GgufTensor[]
  readonly alignment: number
  /** Where tensor data begins, in bytes from the file's start. */
  readonly dataOffset: number
  readonly fileBytes: number
}

/** Why a file is no usable GGUF. Stable: programs switch on it. */
export type GgufReason =
  | 'not_gguf'
  | 'unsupported_version'
  | 'truncated'
  | 'limit_exceeded'
  | 'bad_metadata'
  | 'bad_tensor'
  | 'unknown_tensor_type'
  | 'missing_key'

export interface GgufInvalid {
  readonly kind: 'invalid'
  readonly reason: GgufReason
  readonly message: string
}

/** The number under `key` when it is one and can be held exactly, whatever width it is stored in. */
export function ggufNumber(gguf: Gguf, key: string): number | undefined {
  const found = gguf.metadata.get(key)
  if (found === undefined || found.type === 'array') return undefined
  if (typeof found.value === 'number') return found.value
  return typeof found.value === 'bigint' ? exactNumber(found.value) : undefined
}

/** The text under `key`. */
export function ggufString(gguf: Gguf, key: string): string | undefined {
  const found = gguf.metadata.get(key)
  return found?.type === 'string' ? found.value : undefined
}

/** The array under `key`; its items are absent when it was too long to keep. */
export function ggufArray(gguf: Gguf, key: string): GgufArray | undefined {
  const found = gguf.metadata.get(key)
  return found?.type === 'array' ? found : undefined
}

/** The numbers under `key`: a list when it holds one for each layer, a single number when it holds one for all. */
export function ggufNumbers(gguf: Gguf, key: string): number | readonly number[] | undefined {
  const array = ggufArray(gguf, key)
  if (array === undefined) return ggufNumber(gguf, key)
  const numbers = array.items?.map((item) => (typeof item === 'bigint' ? exactNumber(item) : item))
  return numbers?.every((item): item is number => typeof item === 'number') ? numbers : undefined
}

function exactNumber(value: bigint): number | undefined {
  const number = Number(value)
  return Number.isSafeInteger(number) ? number : undefined
}
