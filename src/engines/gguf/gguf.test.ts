import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ggufFacts, ggufSplit } from './facts.ts'
import type { Gguf, GgufArray, GgufValue } from './gguf.ts'
import { parseGguf, readGguf } from './read.ts'
import { type TensorTypeName, tensorBytes, tensorType } from './tensor-types.ts'
import { type TensorToWrite, writeGguf } from './write.ts'

const scalar: fc.Arbitrary<GgufValue> = fc.oneof(
  fc.record({ type: fc.constant('uint8' as const), value: fc.integer({ min: 0, max: 255 }) }),
  fc.record({ type: fc.constant('int16' as const), value: fc.integer({ min: -32768, max: 32767 }) }),
  fc.record({ type: fc.constant('uint32' as const), value: fc.integer({ min: 0, max: 4294967295 }) }),
  fc.record({ type: fc.constant('int32' as const), value: fc.integer() }),
  fc.record({ type: fc.constant('uint64' as const), value: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }) }),
  fc.record({
    type: fc.constant('int64' as const),
    value: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  }),
  fc.record({ type: fc.constant('float32' as const), value: fc.float() }),
  fc.record({ type: fc.constant('float64' as const), value: fc.double() }),
  fc.record({ type: fc.constant('bool' as const), value: fc.boolean() }),
  fc.record({ type: fc.constant('string' as const), value: fc.string({ unit: 'binary' }) }),
)

const array: fc.Arbitrary<GgufValue> = fc.oneof<fc.Arbitrary<GgufArray>[]>(
  fc
    .array(fc.string({ unit: 'grapheme' }))
    .map((items) => ({ type: 'array', of: 'string', length: items.length, items })),
  fc.array(fc.boolean()).map((items) => ({ type: 'array', of: 'bool', length: items.length, items })),
  fc.array(fc.integer()).map((items) => ({ type: 'array', of: 'int32', length: items.length, items })),
  fc.array(fc.array(fc.integer({ min: 0, max: 255 }))).map((lists) => ({
    type: 'array',
    of: 'array',
    length: lists.length,
    items: lists.map((items) => ({ type: 'array', of: 'uint8', length: items.length, items })),
  })),
)

const tensor: fc.Arbitrary<TensorToWrite> = fc
  .record({
    name: fc.string({ minLength: 1, maxLength: 12 }),
    type: fc.constantFrom<TensorTypeName>('F32', 'F16', 'Q8_0', 'Q4_K', 'MXFP4'),
    blocks: fc.integer({ min: 1, max: 2 }),
    rows: fc.integer({ min: 1, max: 3 }),
    fill: fc.integer({ min: 0, max: 255 }),
  })
  .map(({ name, type, blocks, rows, fill }) => {
    const dims = [tensorType(type).blockElements * blocks, rows]
    return { name, type, dims, data: new Uint8Array(tensorBytes(tensorType(type), dims) ?? 0).fill(fill) }
  })

const file = fc.record({
  metadata: fc.uniqueArray(fc.tuple(fc.string(), fc.oneof(scalar, array)), {
    selector: ([key]) => key,
    maxLength: 8,
  }),
  alignment: fc.constantFrom(undefined, 8, 64),
  tensors: fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 4 }),
})

type File = typeof file extends fc.Arbitrary<infer T> ? T : never

function write({ metadata, alignment, tensors }: File): { pairs: [string, GgufValue][]; bytes: Uint8Array } {
  const pairs = metadata.filter(([key]) => key !== 'general.alignment')
  if (alignment !== undefined) pairs.push(['general.alignment', { type: 'uint32', value: alignment }])
  return { pairs, bytes: writeGguf(pairs, tensors) }
}

describe('a GGUF file', () => {
  it('reads back as it was written', () => {
    fc.assert(
      fc.property(file, (content) => {
        const { pairs, bytes } = write(content)
        const result = parseGguf(bytes)
        if (result.kind === 'invalid') throw new Error(result.message)
        const { gguf } = result
        expect([...gguf.metadata]).toEqual(pairs)
        expect(gguf.tensors.map(({ name, type, dims }) => ({ name, type, dims }))).toEqual(
          content.tensors.map(({ name, type, dims }) => ({ name, type, dims })),
        )
        for (const [index, { offset, sizeBytes }] of gguf.tensors.entries()) {
          const start = gguf.dataOffset + offset
          expect(bytes.subarray(start, start + sizeBytes)).toEqual(content.tensors[index]?.data)
        }
      }),
    )
  })

  it('is the same bytes for the same content', () => {
    fc.assert(
      fc.property(file, (content) => {
        expect(write(content).bytes).toEqual(write(content).bytes)
      }),
      { numRuns: 20 },
    )
  })

  it('that is cut anywhere before its last tensor ends is refused with a reason', () => {
    fc.assert(
      fc.property(
        file.filter(({ tensors }) => tensors.length > 0),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (content, share) => {
          const { bytes } = write(content)
          const whole = parseGguf(bytes)
          if (whole.kind === 'invalid') throw new Error(whole.message)
          const end = Math.max(
            ...whole.gguf.tensors.map((t) => whole.gguf.dataOffset + t.offset + t.sizeBytes),
          )
          const result = parseGguf(bytes.subarray(0, Math.floor(end * share)))
          expect(result.kind).toBe('invalid')
          if (result.kind === 'invalid') expect(['truncated', 'not_gguf']).toContain(result.reason)
        },
      ),
    )
  })

  it('with any bytes changed is a value, never a throw', () => {
    fc.assert(
      fc.property(
        file,
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 16 }),
        (content, changes) => {
          const { bytes } = write(content)
          for (const [at, value] of changes) bytes[at % bytes.length] = value
          const result = parseGguf(bytes)
          expect(['ok', 'invalid']).toContain(result.kind)
          if (result.kind === 'invalid') {
            expect(result.reason).toMatch(/^[a-z_]+$/)
            expect(result.message.length).toBeGreaterThan(10)
          } else {
            expect(['ok', 'invalid']).toContain(ggufFacts(result.gguf).kind)
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('made of noise is a value, never a throw', () => {
    const magic = [0x47, 0x47, 0x55, 0x46, 3, 0, 0, 0]
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), fc.boolean(), (noise, withMagic) => {
        const bytes = withMagic ? Uint8Array.from([...magic, ...noise]) : noise
        expect(['ok', 'invalid']).toContain(parseGguf(bytes).kind)
      }),
      { numRuns: 500 },
    )
  })

  it('is read by its header alone, however large the rest', async () => {
    const data = new Uint8Array(3 * 1024 * 1024)
    const bytes = writeGguf(
      [
        ['general.architecture', { type: 'string', value: 'llama' }],
        ['long', { type: 'string', value: 'x'.repeat(1_500_000) }],
      ],
      [{ name: 't', dims: [data.length], type: 'I8', data }],
    )
    const reads: number[] = []
    const result = await readGguf((offset, length) => {
      reads.push(length)
      return Promise.resolve(bytes.subarray(offset, offset + length))
    }, bytes.length)
    expect(result.kind).toBe('ok')
    expect(reads).toEqual([1024 * 1024, 4 * 1024 * 1024])
  })

  it('whose disk fails is a fault, not a broken file', async () => {
    await expect(readGguf(() => Promise.reject(new Error('EIO')), 1000)).rejects.toThrow('EIO')
  })

  it('keeps only the length of an array longer than asked for', () => {
    const items = Array.from({ length: 50 }, (_, index) => `token ${index}`)
    const bytes = writeGguf([['tokens', { type: 'array', of: 'string', length: 50, items }]], [])
    const result = parseGguf(bytes, bytes.length, { keepArrayItems: 49 })
    if (result.kind === 'invalid') throw new Error(result.message)
    expect(result.gguf.metadata.get('tokens')).toEqual({ type: 'array', of: 'string', length: 50 })
  })

  it.each([
    ['not_gguf', () => new TextEncoder().encode('<html>404</html>')],
    ['not_gguf', () => new Uint8Array(0)],
    ['unsupported_version', () => Uint8Array.from([0x47, 0x47, 0x55, 0x46, 1, 0, 0, 0])],
    ['unsupported_version', () => Uint8Array.from([0x47, 0x47, 0x55, 0x46, 0, 0, 0, 3])],
    ['limit_exceeded', () => header(2 ** 31, 0)],
    ['limit_exceeded', () => header(0, 2 ** 31)],
    ['truncated', () => header(1, 1)],
  ])('is refused as %s', (reason, bytes) => {
    expect(parseGguf(bytes())).toMatchObject({ kind: 'invalid', reason })
  })

  it('with overlapping or doubled tensors is refused', () => {
    const one = { dims: [8], type: 'F32' as const, data: new Uint8Array(32) }
    const doubled = writeGguf(
      [],
      [
        { name: 'a', ...one },
        { name: 'a', ...one },
      ],
    )
    expect(parseGguf(doubled)).toMatchObject({ reason: 'bad_tensor' })
    const overlapping = writeGguf(
      [],
      [
        { name: 'a', ...one },
        { name: 'b', ...one },
      ],
    )
    // The last header field is the second tensor's offset.
    overlapping[header(2, 0).length + 33 + 25] = 0
    expect(parseGguf(overlapping)).toMatchObject({ reason: 'bad_tensor' })
  })
})

describe('the facts of a model', () => {
  it('are read from its keys and tensors', () => {
    expect(facts({})).toEqual({
      kind: 'ok',
      facts: {
        format: 'gguf',
        architecture: 'llama',
        displayName: 'test',
        weightBytes: 1024 * 4,
        fileBytes: expect.any(Number),
        parameterCount: 1024,
        layers: 4,
        embeddingLength: 64,
        vocabSize: 3,
        heads: 8,
        kvHeads: 2,
        keyLength: 8,
        valueLength: 8,
        contextTokens: 512,
        quantization: 'F16',
        hasChatTemplate: false,
        isAdapter: false,
      },
    })
  })

  it.each([
    'general.architecture',
    'llama.block_count',
    'llama.feed_forward_length',
    'llama.attention.head_count',
    'llama.attention.layer_norm_rms_epsilon',
    'tokenizer.ggml.model',
    'tokenizer.ggml.tokens',
  ])('are refused without %s, which ends the process that loads it', (key) => {
    const result = facts({ [key]: undefined })
    expect(result).toMatchObject({ kind: 'invalid', reason: 'missing_key' })
    if (result.kind === 'invalid') expect(result.message).toContain(key)
  })

  it('take key/value heads a layer, and none for layers that do not attend', () => {
    expect(facts({ 'llama.attention.head_count_kv': ints([2, 0, 2, 0]) })).toMatchObject({
      facts: { kvHeads: [2, 0, 2, 0] },
    })
    expect(facts({ 'llama.full_attention_interval': int(2) })).toMatchObject({
      facts: { kvHeads: [0, 2, 0, 2] },
    })
    expect(facts({ 'llama.attention.head_count_kv': ints([2, 2]) })).toMatchObject({ reason: 'bad_metadata' })
  })

  it('know latent attention and sliding windows', () => {
    expect(
      facts({
        'llama.attention.head_count_kv': int(1),
        'llama.attention.key_length': int(576),
        'llama.attention.key_length_mla': int(192),
      }),
    ).toMatchObject({ facts: { latentKvLength: 576, kvHeads: 1 } })
    expect(
      facts({ 'llama.attention.sliding_window': int(128), 'llama.attention.sliding_window_pattern': int(2) }),
    ).toMatchObject({ facts: { slidingWindowTokens: 128, slidingLayers: 2 } })
    // llama.cpp keeps the whole context for architectures whose pattern it does not know.
    expect(facts({ 'llama.attention.sliding_window': int(128) })).not.toHaveProperty(
      'facts.slidingWindowTokens',
    )
  })

  it('know an embedding model, a chat template, an adapter and a split', () => {
    expect(facts({ 'llama.pooling_type': int(1) })).toMatchObject({ facts: { pooling: 'mean' } })
    expect(facts({ 'tokenizer.chat_template': text('{{ x }}') })).toMatchObject({
      facts: { hasChatTemplate: true },
    })
    const adapter = parsed([
      ['general.architecture', text('llama')],
      ['general.type', text('adapter')],
    ])
    expect(ggufFacts(adapter)).toMatchObject({ kind: 'ok', facts: { isAdapter: true, layers: 0 } })
    expect(ggufSplit(adapter)).toEqual({ part: 0, parts: 1 })
    expect(
      ggufSplit(
        parsed([
          ['split.no', { type: 'uint16', value: 1 }],
          ['split.count', { type: 'uint16', value: 3 }],
        ]),
      ),
    ).toEqual({ part: 1, parts: 3 })
  })
})

function facts(changes: Record<string, GgufValue | undefined>) {
  const keys: Record<string, GgufValue | undefined> = {
    'general.architecture': text('llama'),
    'general.name': text('test'),
    'general.file_type': int(1),
    'llama.block_count': int(4),
    'llama.embedding_length': int(64),
    'llama.context_length': int(512),
    'llama.feed_forward_length': int(128),
    'llama.attention.head_count': int(8),
    'llama.attention.head_count_kv': int(2),
    'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: 0.5 },
    'tokenizer.ggml.model': text('llama'),
    'tokenizer.ggml.tokens': { type: 'array', of: 'string', length: 3, items: ['a', 'b', 'c'] },
    ...changes,
  }
  return ggufFacts(
    parsed(Object.entries(keys).filter((pair): pair is [string, GgufValue] => pair[1] !== undefined)),
  )
}

function parsed(metadata: [string, GgufValue][]): Gguf {
  const bytes = writeGguf(metadata, [{ name: 'w', dims: [64, 16], type: 'F32', data: new Uint8Array(4096) }])
  const result = parseGguf(bytes)
  if (result.kind === 'invalid') throw new Error(result.message)
  return result.gguf
}

function header(tensors: number, keys: number): Uint8Array {
  const bytes = new Uint8Array(24)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0x46554747, true)
  view.setUint32(4, 3, true)
  view.setBigUint64(8, BigInt(tensors), true)
  view.setBigUint64(16, BigInt(keys), true)
  return bytes
}

function int(value: number): GgufValue {
  return { type: 'uint32', value }
}

function ints(items: number[]): GgufValue {
  return { type: 'array', of: 'uint32', length: items.length, items }
}

function text(value: string): GgufValue {
  return { type: 'string', value }
}
