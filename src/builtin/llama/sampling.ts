/** How the next token is chosen. Field ranges are checked when a request is read. */
export interface Sampling {
  /** 0 takes the likeliest token. */
  readonly temperature: number
  readonly topP: number
  /** 0 leaves all tokens in. */
  readonly topK: number
  readonly minP: number
  readonly frequencyPenalty: number
  readonly presencePenalty: number
  readonly seed: number
}

/** Seeds are 32 bits in llama.cpp, and the highest means "a random one", which would not repeat. */
export function nativeSeed(seed: number): number {
  const bits = Number(BigInt.asUintN(32, BigInt(Math.trunc(seed))))
  return bits === 0xffffffff ? 0xfffffffe : bits
}
