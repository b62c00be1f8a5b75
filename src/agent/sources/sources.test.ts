import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildTiny, type TinyKind } from '../../engines/tiny/build.ts'
import { diskModelFiles } from './disk-model-files.ts'
import { hubAdapterFacts, hubFacts } from './hub-facts.ts'

let dir = ''
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'yard-models-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

function models() {
  return diskModelFiles({ dir: join(dir, 'cache'), build: (name) => buildTiny(name as TinyKind) })
}

const QWEN = {
  architectures: ['Qwen3ForCausalLM'],
  model_type: 'qwen3',
  num_hidden_layers: 36,
  hidden_size: 4096,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  head_dim: 128,
  vocab_size: 151936,
  max_position_embeddings: 40960,
  sliding_window: null,
  use_sliding_window: false,
}

async function hubModel(
  name: string,
  config: object,
  files: Record<string, string> = { 'model.safetensors': 'wwww' },
) {
  const path = join(dir, name)
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'config.json'), JSON.stringify(config))
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text)
  return path
}

describe('a built-in model', () => {
  test('is written once, whole, and the same file serves every later start', async () => {
    const files = models()
    const [first, second] = await Promise.all([files.locate('builtin:tiny'), files.locate('builtin:tiny')])
    expect(first).toEqual(second)
    expect(first).toMatchObject({ kind: 'located', facts: { architecture: 'llama', isAdapter: false } })
    const path = first.kind === 'located' ? first.modelRef : ''
    expect(Buffer.compare(await readFile(path), buildTiny('tiny'))).toBe(0)
    const { mtimeMs, ino } = await stat(path)
    await models().locate('builtin:tiny')
    expect(await stat(path)).toMatchObject({ mtimeMs, ino })
    expect(await readdir(join(dir, 'cache'))).toHaveLength(1)
  })

  test('is written anew when somebody has changed the file', async () => {
    const located = await models().locate('builtin:tiny-embed')
    const path = located.kind === 'located' ? located.modelRef : ''
    await writeFile(path, 'garbage')
    await models().locate('builtin:tiny-embed')
    expect(Buffer.compare(await readFile(path), buildTiny('tiny-embed'))).toBe(0)
  })

  test('can be looked at without being written', async () => {
    expect(await models().inspect('builtin:tiny')).toMatchObject({ kind: 'found', facts: { format: 'gguf' } })
    await expect(stat(join(dir, 'cache'))).rejects.toThrow()
  })
})

describe('a GGUF file', () => {
  test('is given by its real path, with its facts', async () => {
    await writeFile(join(dir, 'real.gguf'), buildTiny('tiny'))
    await symlink(join(dir, 'real.gguf'), join(dir, 'link.gguf'))
    expect(await models().locate(`file:${join(dir, 'link.gguf')}`)).toMatchObject({
      kind: 'located',
      modelRef: join(dir, 'real.gguf'),
      facts: { layers: 2 },
    })
  })

  test('that is an adapter tells its rank', async () => {
    await writeFile(join(dir, 'lora.gguf'), buildTiny('tiny-lora'))
    const located = await models().locate(`file:${join(dir, 'lora.gguf')}`)
    expect(located).toMatchObject({ facts: { isAdapter: true } })
    expect(located.kind === 'located' && located.rank).toBeGreaterThan(0)
  })

  test.each([
    ['cut', (bytes: Uint8Array) => bytes.subarray(0, bytes.length - 100), 'truncated'],
    ['not one', () => new TextEncoder().encode('hello there'), 'not_gguf'],
    ['empty', () => new Uint8Array(), 'not_gguf'],
  ])('that is %s is refused before an engine sees it', async (_what, change, reason) => {
    await writeFile(join(dir, 'm.gguf'), change(buildTiny('tiny')))
    expect(await models().locate(`file:${join(dir, 'm.gguf')}`)).toMatchObject({ kind: 'invalid', reason })
  })

  test('is read again when it was replaced', async () => {
    const files = models()
    const path = join(dir, 'm.gguf')
    await writeFile(path, 'nothing')
    expect(await files.inspect(`file:${path}`)).toMatchObject({ kind: 'invalid' })
    await writeFile(path, buildTiny('tiny'))
    expect(await files.inspect(`file:${path}`)).toMatchObject({ kind: 'found' })
  })
})

describe('a directory in the hub’s layout', () => {
  test('tells the facts an estimate needs', async () => {
    const path = await hubModel('m', QWEN, {
      'a.safetensors': 'x'.repeat(10),
      'b.safetensors': 'y'.repeat(5),
    })
    expect(await models().locate(`file:${path}`)).toEqual({
      kind: 'located',
      modelRef: path,
      facts: {
        format: 'safetensors',
        architecture: 'Qwen3ForCausalLM',
        weightBytes: 15,
        fileBytes: 15,
        layers: 36,
        embeddingLength: 4096,
        vocabSize: 151936,
        heads: 32,
        kvHeads: 8,
        keyLength: 128,
        valueLength: 128,
        contextTokens: 40960,
        hasChatTemplate: false,
        isAdapter: false,
      },
    })
  })

  test('without a shard that its index names is incomplete', async () => {
    const index = JSON.stringify({ weight_map: { a: 'a.safetensors', b: 'b.safetensors' } })
    const path = await hubModel('m', QWEN, { 'a.safetensors': 'x', 'model.safetensors.index.json': index })
    expect(await models().locate(`file:${path}`)).toMatchObject({
      kind: 'missing',
      message: expect.stringContaining('b.safetensors'),
    })
  })

  test('with pickled weights only is refused', async () => {
    const path = await hubModel('m', QWEN, { 'pytorch_model.bin': 'x' })
    expect(await models().locate(`file:${path}`)).toMatchObject({ kind: 'invalid', reason: 'no_safetensors' })
  })

  test('of an unknown kind is found without facts: they are unknown, not zero', async () => {
    const path = await hubModel('m', { model_type: 'novel' })
    expect(await models().inspect(`file:${path}`)).toEqual({ kind: 'found' })
  })

  test('that is no model at all is refused', async () => {
    await mkdir(join(dir, 'docs'))
    expect(await models().inspect(`file:${join(dir, 'docs')}`)).toMatchObject({
      kind: 'invalid',
      reason: 'not_a_model',
    })
  })
})

describe('other sources', () => {
  test('a path with nothing there is missing, one that is no model is invalid', async () => {
    expect(await models().inspect(`file:${join(dir, 'none.gguf')}`)).toMatchObject({ kind: 'missing' })
    await writeFile(join(dir, 'notes.txt'), 'hello')
    expect(await models().inspect(`file:${join(dir, 'notes.txt')}`)).toMatchObject({ reason: 'not_a_model' })
    await symlink(join(dir, 'loop'), join(dir, 'loop'))
    expect(await models().inspect(`file:${join(dir, 'loop')}`)).toMatchObject({ reason: 'link_loop' })
  })

  test('a program must be a file that may be run', async () => {
    const path = join(dir, 'serve')
    await writeFile(path, '#!/bin/sh\n')
    expect(await models().locate(`command:${path}`)).toMatchObject({ kind: 'missing' })
    await chmod(path, 0o755)
    expect(await models().locate(`command:${path}`)).toEqual({ kind: 'located', modelRef: path })
  })

  test('what lives elsewhere is passed on as it is named', async () => {
    expect(await models().locate('hf:Qwen/Qwen3-8B@main')).toEqual({
      kind: 'located',
      modelRef: 'Qwen/Qwen3-8B',
      revision: 'main',
    })
    expect(await models().locate('sim:llama-70b')).toEqual({ kind: 'located', modelRef: 'llama-70b' })
    expect(await models().locate('nonsense')).toMatchObject({ kind: 'invalid', reason: 'bad_source' })
  })
})

describe('facts from config.json', () => {
  const weights = { weightBytes: 1, fileBytes: 1, hasChatTemplate: true }

  test('a model with pictures keeps its shape under text_config', () => {
    expect(hubFacts({ architectures: ['X'], text_config: QWEN }, weights)).toMatchObject({
      layers: 36,
      kvHeads: 8,
    })
  })

  test('latent attention keeps rank and position only', () => {
    const config = { ...QWEN, kv_lora_rank: 512, qk_rope_head_dim: 64 }
    expect(hubFacts(config, weights)?.latentKvLength).toBe(576)
  })

  test('a hybrid keeps keys and values in its attending layers only', () => {
    const kvHeads = hubFacts({ ...QWEN, num_hidden_layers: 4, full_attention_interval: 4 }, weights)?.kvHeads
    expect(kvHeads).toEqual([0, 0, 0, 8])
    const types = ['linear_attention', 'full_attention']
    expect(hubFacts({ ...QWEN, num_hidden_layers: 2, layer_types: types }, weights)?.kvHeads).toEqual([0, 8])
  })

  test('a sliding window counts only where it is used', () => {
    expect(hubFacts({ ...QWEN, sliding_window: 4096 }, weights)?.slidingWindowTokens).toBeUndefined()
    const used = { ...QWEN, sliding_window: 4096, use_sliding_window: true }
    expect(hubFacts(used, weights)?.slidingWindowTokens).toBe(4096)
  })

  test('anything at all never throws', () => {
    const odd = fc.oneof(fc.jsonValue(), fc.constant(36), fc.constant(1e300))
    const config = fc.oneof(
      fc.jsonValue(),
      fc.record(Object.fromEntries(Object.keys(QWEN).map((key) => [key, odd])), { requiredKeys: [] }),
    )
    fc.assert(
      fc.property(config, (value) => {
        hubFacts(value, weights)
        hubAdapterFacts(value, 1)
      }),
    )
  })
})
