/**
 * How each tensor type packs its elements: `[id, elements in a block, bytes of a block]`.
 * Source: ggml's type table (llama.cpp gguf-py/gguf/constants.py). Ids that ggml has withdrawn are left out, because
 * llama.cpp refuses them too.
 */
const TENSOR_TYPES = {
  F32: [0, 1, 4],
  F16: [1, 1, 2],
  Q4_0: [2, 32, 18],
  Q4_1: [3, 32, 20],
  Q5_0: [6, 32, 22],
  Q5_1: [7, 32, 24],
  Q8_0: [8, 32, 34],
  Q8_1: [9, 32, 36],
  Q2_K: [10, 256, 84],
  Q3_K: [11, 256, 110],
  Q4_K: [12, 256, 144],
  Q5_K: [13, 256, 176],
  Q6_K: [14, 256, 210],
  Q8_K: [15, 256, 292],
  IQ2_XXS: [16, 256, 66],
  IQ2_XS: [17, 256, 74],
  IQ3_XXS: [18, 256, 98],
  IQ1_S: [19, 256, 50],
  IQ4_NL: [20, 32, 18],
  IQ3_S: [21, 256, 110],
  IQ2_S: [22, 256, 82],
  IQ4_XS: [23, 256, 136],
  I8: [24, 1, 1],
  I16: [25, 1, 2],
  I32: [26, 1, 4],
  I64: [27, 1, 8],
  F64: [28, 1, 8],
  IQ1_M: [29, 256, 56],
  BF16: [30, 1, 2],
  TQ1_0: [34, 256, 54],
  TQ2_0: [35, 256, 66],
  MXFP4: [39, 32, 17],
  NVFP4: [40, 64, 36],
  Q1_0: [41, 128, 18],
  Q2_0: [42, 64, 18],
} as const satisfies Record<string, readonly [number, number, number]>

export type TensorTypeName = keyof typeof TENSOR_TYPES

export interface TensorType {
  readonly name: TensorTypeName
  readonly id: number
  readonly blockElements: number
  readonly blockBytes: number
}

const BY_ID: ReadonlyMap<number, TensorType> = new Map(
  (Object.keys(TENSOR_TYPES) as TensorTypeName[]).map((name) => [TENSOR_TYPES[name][0], tensorType(name)]),
)

/** The type with this name. */
export function tensorType(name: TensorTypeName): TensorType {
  const [id, blockElements, blockBytes] = TENSOR_TYPES[name]
  return { name, id, blockElements, blockBytes }
}

/** The type with this number in a file, if there is one. */
export function tensorTypeById(id: number): TensorType | undefined {
  return BY_ID.get(id)
}

/**
 * Bytes that a tensor takes. Absent when its rows do not divide into whole blocks or the product is beyond exact
 * integers: no such tensor can be stored.
 */
export function tensorBytes(type: TensorType, dims: readonly number[]): number | undefined {
  const elements = dims.reduce((product, dim) => product * dim, 1)
  if (!Number.isSafeInteger(elements) || (dims[0] ?? 1) % type.blockElements !== 0) return undefined
  const bytes = (elements / type.blockElements) * type.blockBytes
  return Number.isSafeInteger(bytes) ? bytes : undefined
}
