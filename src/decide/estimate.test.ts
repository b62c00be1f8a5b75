import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Footprint } from '../domain/footprint.ts'
import type { DeviceKind } from '../domain/node.ts'
import { aTemplate, frozen, GIB, MIB, someFacts } from './decide.testing.ts'
import { type Estimate, estimate } from './estimate.ts'

const ANY: readonly DeviceKind[] = frozen(['cuda', 'cpu'])
const CUDA: readonly DeviceKind[] = frozen(['cuda'])
const CPU: readonly DeviceKind[] = frozen(['cpu'])

function footprintOf(answer: Estimate): Footprint {
  if (answer.kind !== 'footprint') throw new Error(answer.message)
  return answer.footprint
}

function part(footprint: Footprint, name: string): number | undefined {
  return footprint.parts.find((one) => one.name.startsWith(name))?.bytes
}

describe('llama.cpp on measured facts', () => {
  test('counts weights, a 16-bit cache for 4 sequences of 4096 tokens, a compute buffer and the process', () => {
    const footprint = footprintOf(estimate(frozen(aTemplate()), frozen(someFacts()), ANY))
    expect(part(footprint, 'weights')).toBe(4_900_000_000)
    // Llama-3.1-8B keeps 128 KiB a token (engines.md §6.2).
    expect(part(footprint, 'KV cache (4096 tokens × 4 sequences)')).toBe(128 * 1024 * 4096 * 4)
    expect(part(footprint, 'compute buffer')).toBe(512 * 4 * (128_256 + 4096))
    expect(footprint.deviceKinds).toEqual(['cuda', 'cpu'])
    expect(footprint.devices).toBe(1)
  })

  test('takes the context of a model that has less than the default', () => {
    const footprint = footprintOf(estimate(aTemplate(), someFacts({ contextTokens: 512 }), ANY))
    expect(part(footprint, 'KV cache (512 tokens × 4 sequences)')).toBe(128 * 1024 * 512 * 4)
  })

  test('takes the context and the concurrency that are asked for', () => {
    const template = aTemplate({ contextTokens: 32_768, maxConcurrency: 2 })
    expect(part(footprintOf(estimate(template, someFacts(), ANY)), 'KV cache')).toBe(128 * 1024 * 32_768 * 2)
  })

  test('takes the heads of each layer where they differ', () => {
    const facts = someFacts({ layers: 3, kvHeads: [8, 0, 2] })
    expect(part(footprintOf(estimate(aTemplate(), facts, ANY)), 'KV cache')).toBe(10 * 2 * 128 * 2 * 4096 * 4)
  })

  test('keeps one latent without V for multi-head latent attention', () => {
    const facts = someFacts({ layers: 61, latentKvLength: 576 })
    expect(part(footprintOf(estimate(aTemplate(), facts, ANY)), 'KV cache')).toBe(70_272 * 4096 * 4)
  })

  test('keeps only the window in the layers that slide', () => {
    const full = part(footprintOf(estimate(aTemplate(), someFacts(), ANY)), 'KV cache') ?? 0
    const sliding = someFacts({ slidingWindowTokens: 128, slidingLayers: 16 })
    const swa = part(footprintOf(estimate(aTemplate(), sliding, ANY)), 'KV cache') ?? 0
    expect(swa).toBe(full / 2 + 16 * 4096 * (128 * 4 + 512))
    const whole = aTemplate({ engineArgs: { 'swa-full': true } })
    expect(part(footprintOf(estimate(whole, sliding, ANY)), 'KV cache')).toBe(full)
  })

  test('follows the cache type and flash attention among the engine arguments', () => {
    const q8 = aTemplate({ engineArgs: { 'cache-type-k': 'q8_0', 'cache-type-v': 'q8_0' } })
    expect(part(footprintOf(estimate(q8, someFacts(), ANY)), 'KV cache')).toBe(
      (128 * 1024 * 4096 * 4 * 34) / 64,
    )
    const plain = footprintOf(estimate(aTemplate({ engineArgs: { 'flash-attn': 'off' } }), someFacts(), ANY))
    expect(part(plain, 'compute buffer')).toBe(512 * 4 * (128_256 + 4096 + 4096 * 4 * 32))
  })

  test('says when it had to assume a vocabulary', () => {
    const { vocabSize: _, ...facts } = someFacts()
    const footprint = footprintOf(estimate(aTemplate(), facts, ANY))
    expect(part(footprint, 'compute buffer (vocabulary not known')).toBe(512 * 4 * (262_144 + 4096))
  })

  test('makes room for whole inputs in one batch where states are pooled, and for no logits in an encoder', () => {
    const facts = someFacts({ architecture: 'nomic-bert', pooling: 'mean', contextTokens: 2048 })
    const footprint = footprintOf(estimate(aTemplate({ embeddings: true }), facts, ANY))
    expect(part(footprint, 'compute buffer')).toBe(2048 * 4 * 4096)
  })

  test('charges main memory beside an accelerator only', () => {
    expect(footprintOf(estimate(aTemplate(), someFacts(), CUDA)).hostMemoryBytes).toBe(160 * MIB)
    expect(footprintOf(estimate(aTemplate(), someFacts(), CPU)).hostMemoryBytes).toBe(0)
    const cached = aTemplate({ engineArgs: { 'cache-ram': 1024 } })
    expect(footprintOf(estimate(cached, someFacts(), CPU)).hostMemoryBytes).toBe(GIB)
  })

  test('gives each of several devices its layers', () => {
    const one = footprintOf(estimate(aTemplate(), someFacts(), CUDA))
    const two = footprintOf(estimate(aTemplate({ resources: { devices: 2 } }), someFacts(), CUDA))
    expect(two.devices).toBe(2)
    expect(part(two, 'weights')).toBe(Math.ceil((4_900_000_000 * 17) / 33))
    expect(part(two, 'compute buffer')).toBe(part(one, 'compute buffer'))
  })

  test('counts adapters as measured, or says what it assumed', () => {
    const template = aTemplate({
      adapters: [
        { name: 'pirate', source: 'file:/m/pirate.gguf' },
        { name: 'poet', source: 'file:/m/poet.gguf' },
      ],
    })
    const known = { 'file:/m/pirate.gguf': someFacts({ weightBytes: 77, isAdapter: true }) }
    const footprint = footprintOf(estimate(template, someFacts(), ANY, frozen(known)))
    expect(part(footprint, 'adapter pirate')).toBe(77)
    expect(part(footprint, 'adapter poet (not measured, rank 64 assumed)')).toBe(32 * 4096 * 23 * 64 * 2)
  })

  test('means the processors by no device', () => {
    const footprint = footprintOf(estimate(aTemplate({ resources: { devices: 0 } }), someFacts(), ANY))
    expect(footprint).toMatchObject({ deviceKinds: ['cpu'], devices: 1 })
  })
})

describe('vLLM and SGLang on measured facts', () => {
  const vllm = { engine: 'vllm', source: 'hf:org/model' } as const

  test('count the shard of each device, and what runs beside it', () => {
    const facts = someFacts({ format: 'safetensors', weightBytes: 16_000_000_000 })
    const footprint = footprintOf(estimate(aTemplate({ ...vllm, resources: { devices: 2 } }), facts, CUDA))
    expect(part(footprint, 'weights')).toBe(8_160_000_000)
    expect(part(footprint, 'KV cache')).toBe(64 * 1024 * 4096 * 4)
    expect(part(footprint, 'collectives')).toBe(GIB)
    expect(footprint.hostMemoryBytes).toBeGreaterThanOrEqual(2 * GIB)
  })

  test('copy heads to devices that outnumber them, and the latent to all', () => {
    const eight = { ...vllm, resources: { devices: 8 } }
    const facts = someFacts({ kvHeads: 2 })
    expect(part(footprintOf(estimate(aTemplate(eight), facts, CUDA)), 'KV cache')).toBe(
      32 * 1 * 2 * 128 * 2 * 4096 * 4,
    )
    const latent = someFacts({ layers: 61, latentKvLength: 576 })
    expect(part(footprintOf(estimate(aTemplate(eight), latent, CUDA)), 'KV cache')).toBe(70_272 * 4096 * 4)
  })

  test('do not take room for hundreds of full sequences at once', () => {
    const template = aTemplate({ ...vllm, maxConcurrency: 256 })
    const footprint = footprintOf(estimate(template, someFacts(), CUDA))
    expect(part(footprint, 'KV cache (4096 tokens × 4 full sequences)')).toBe(128 * 1024 * 4096 * 4)
  })

  test('follow the arguments that change the need', () => {
    const fp8 = aTemplate({ ...vllm, engineArgs: { 'kv-cache-dtype': 'fp8_e5m2', 'enforce-eager': true } })
    const footprint = footprintOf(estimate(fp8, someFacts(), CUDA))
    expect(part(footprint, 'KV cache')).toBe(64 * 1024 * 4096 * 4)
    expect(part(footprint, 'CUDA graphs')).toBeUndefined()
    const sglang = aTemplate({
      engine: 'sglang',
      source: 'hf:org/model',
      engineArgs: { 'chunked-prefill-size': 8192 },
    })
    expect(part(footprintOf(estimate(sglang, someFacts(), CUDA)), 'activations and graphs')).toBe(
      12_800 * MIB,
    )
  })

  test('size adapters by the slots that are allocated for them', () => {
    const adapters = [{ name: 'poet', source: 'hf:org/poet' }]
    const template = aTemplate({ ...vllm, adapters, engineArgs: { 'max-lora-rank': 16 } })
    expect(part(footprintOf(estimate(template, someFacts(), CUDA)), 'adapter poet')).toBe(
      32 * 4096 * 23 * 16 * 2,
    )
  })

  test('are not known when they are told to take a share of their device', () => {
    const template = aTemplate({ ...vllm, engineArgs: { 'gpu-memory-utilization': 0.5 } })
    expect(estimate(template, someFacts(), CUDA)).toMatchObject({
      kind: 'unknown',
      message: expect.stringContaining('--memory 20GiB'),
    })
  })
})

describe('what is stated by hand', () => {
  test('wins over every estimate', () => {
    const resources = { devices: 2, deviceKind: 'rocm', memoryBytes: 20 * GIB, hostMemoryBytes: GIB } as const
    const footprint = footprintOf(estimate(aTemplate({ resources }), someFacts(), ANY))
    expect(footprint).toEqual({
      deviceKinds: ['rocm'],
      devices: 2,
      bytesPerDevice: 20 * GIB,
      hostMemoryBytes: GIB,
      parts: [{ name: 'stated by hand', bytes: 20 * GIB }],
    })
  })

  test('makes an estimate possible where nothing was measured', () => {
    const template = aTemplate({
      engine: 'vllm',
      source: 'hf:org/model',
      resources: { memoryBytes: 20 * GIB },
    })
    expect(footprintOf(estimate(template, undefined, CUDA))).toMatchObject({
      devices: 1,
      bytesPerDevice: 20 * GIB,
    })
  })

  test('replaces only the field that was stated', () => {
    const footprint = footprintOf(
      estimate(aTemplate({ resources: { hostMemoryBytes: 5 } }), someFacts(), CUDA),
    )
    expect(footprint.hostMemoryBytes).toBe(5)
    expect(part(footprint, 'weights')).toBe(4_900_000_000)
  })
})

describe('other engines', () => {
  const command = { engine: 'command', source: 'command:/opt/serve' } as const

  test('a simulated one takes little, on a device or without one', () => {
    const sim = aTemplate({ engine: 'sim', source: 'sim:x' })
    expect(footprintOf(estimate(sim, undefined, CPU))).toMatchObject({
      devices: 1,
      bytesPerDevice: 128 * MIB,
    })
    expect(footprintOf(estimate(sim, undefined, []))).toMatchObject({
      devices: 0,
      bytesPerDevice: 0,
      hostMemoryBytes: 128 * MIB,
    })
  })

  test('a command is not known until its memory is stated', () => {
    expect(estimate(aTemplate(command), undefined, [])).toMatchObject({
      kind: 'unknown',
      reason: 'not_stated',
      message: expect.stringContaining('--memory 2GiB'),
    })
    const stated = aTemplate({ ...command, resources: { memoryBytes: 2 * GIB } })
    expect(footprintOf(estimate(stated, undefined, []))).toMatchObject({
      devices: 0,
      hostMemoryBytes: 2 * GIB,
    })
    const onGpu = aTemplate({ ...command, resources: { devices: 1, memoryBytes: 2 * GIB } })
    expect(footprintOf(estimate(onGpu, undefined, []))).toMatchObject({
      deviceKinds: ['cuda', 'rocm', 'ascend', 'metal'],
      bytesPerDevice: 2 * GIB,
    })
  })

  test('an external service takes nothing, whatever is stated', () => {
    const template = aTemplate({
      engine: 'external',
      source: 'https://example.com/v1',
      resources: { memoryBytes: GIB },
    })
    expect(footprintOf(estimate(template, undefined, []))).toEqual({
      deviceKinds: [],
      devices: 0,
      bytesPerDevice: 0,
      hostMemoryBytes: 0,
      parts: [],
    })
  })
})

describe('unknown is not zero', () => {
  test.each(['llama', 'llama-server', 'vllm', 'sglang'] as const)('%s without facts is unknown', (engine) => {
    expect(estimate(aTemplate({ engine, source: 'hf:org/model' }), undefined, CUDA)).toMatchObject({
      kind: 'unknown',
      reason: 'facts_missing',
      message: expect.stringContaining('--gpus 1 --memory 20GiB'),
    })
  })

  test('weights of zero bytes were not measured', () => {
    expect(estimate(aTemplate(), someFacts({ weightBytes: 0 }), CUDA)).toMatchObject({
      reason: 'facts_missing',
    })
  })

  test('an adapter is not a model', () => {
    expect(estimate(aTemplate(), someFacts({ isAdapter: true }), CUDA)).toMatchObject({
      reason: 'not_a_model',
    })
  })
})

describe('properties', () => {
  const engines = fc.constantFrom('llama', 'llama-server', 'vllm', 'sglang', 'sim', 'command', 'external')
  const templates = fc
    .record(
      {
        engine: engines,
        contextTokens: fc.integer({ min: 16, max: 1 << 20 }),
        maxConcurrency: fc.integer({ min: 1, max: 1024 }),
        resources: fc.record(
          {
            devices: fc.integer({ min: 0, max: 8 }),
            memoryBytes: fc.integer({ min: 1, max: 100 * GIB }),
            hostMemoryBytes: fc.nat(100 * GIB),
          },
          { requiredKeys: [] },
        ),
      },
      { requiredKeys: ['engine'] },
    )
    .map((over) => frozen(aTemplate(over as Parameters<typeof aTemplate>[0])))
  const facts = fc
    .record({
      weightBytes: fc.integer({ min: 1, max: 500 * GIB }),
      layers: fc.integer({ min: 1, max: 128 }),
      kvHeads: fc.integer({ min: 0, max: 64 }),
      keyLength: fc.integer({ min: 1, max: 256 }),
    })
    .map((over) => frozen(someFacts(over)))
  const kinds = fc.subarray<DeviceKind>(['cuda', 'rocm', 'metal', 'cpu']).map(frozen)

  test('parts add up to what a device must have, in whole bytes, largest first', () => {
    fc.assert(
      fc.property(templates, fc.option(facts, { nil: undefined }), kinds, (template, known, engineKinds) => {
        const answer = estimate(template, known, engineKinds)
        if (answer.kind === 'unknown') {
          expect(answer.message).toMatch(/--memory|adapter/)
          return
        }
        const { parts, bytesPerDevice, hostMemoryBytes, devices, deviceKinds } = answer.footprint
        expect(parts.reduce((sum, one) => sum + one.bytes, 0)).toBe(bytesPerDevice)
        expect(Number.isInteger(bytesPerDevice) && Number.isInteger(hostMemoryBytes)).toBe(true)
        expect(parts.map((one) => one.bytes)).toEqual(parts.map((one) => one.bytes).sort((a, b) => b - a))
        expect(deviceKinds.length > 0).toBe(devices > 0)
      }),
    )
  })

  test('a longer context or more sequences never need less', () => {
    fc.assert(
      fc.property(
        facts,
        fc.constantFrom('llama-server' as const, 'vllm' as const),
        fc.integer({ min: 16, max: 1 << 18 }),
        fc.integer({ min: 1, max: 64 }),
        (known, engine, contextTokens, maxConcurrency) => {
          const needOf = (context: number, concurrency: number) =>
            footprintOf(
              estimate(
                aTemplate({ engine, contextTokens: context, maxConcurrency: concurrency }),
                known,
                CUDA,
              ),
            ).bytesPerDevice
          const need = needOf(contextTokens, maxConcurrency)
          expect(needOf(contextTokens * 2, maxConcurrency)).toBeGreaterThanOrEqual(need)
          expect(needOf(contextTokens, maxConcurrency + 1)).toBeGreaterThanOrEqual(need)
        },
      ),
    )
  })
})
