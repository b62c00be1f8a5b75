/**
 * What this folder uses of the platform: text codecs that exist alike in Node, workers and browsers. Declared by
 * hand because the folder is compiled without `dom` and without `node` types, so that nothing else slips in.
 */
declare class TextEncoder {
  encode(text?: string): Uint8Array
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean })
  decode(bytes?: Uint8Array, options?: { stream?: boolean }): string
}
