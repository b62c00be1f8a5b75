import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ModelDir, TestEngine, testOptions } from './engine.testing.ts'

const files = new ModelDir()
let engine: TestEngine

beforeAll(async () => {
  engine = await TestEngine.start(
    testOptions(files.write('tiny-embed'), { embeddings: true, contextTokens: 256 }),
  )
})

afterAll(async () => {
  await engine.close()
  files.remove()
})

interface EmbeddingBody {
  readonly data: { readonly index: number; readonly embedding: number[] | string }[]
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number }
}

async function embed(input: unknown, more: object = {}): Promise<EmbeddingBody> {
  const response = await engine.post('/v1/embeddings', { model: 'tiny', input, ...more })
  const body = await response.json()
  if (!response.ok) throw new Error(JSON.stringify(body))
  return body as EmbeddingBody
}

async function vector(input: unknown): Promise<number[]> {
  return (await embed(input)).data[0]?.embedding as number[]
}

function product(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0)
}

describe('embeddings', () => {
  it('have length 1 and repeat', async () => {
    const first = await vector('the yard is open')
    expect(first).toHaveLength(64)
    expect(product(first, first)).toBeCloseTo(1, 6)
    expect(await vector('the yard is open')).toEqual(first)
  })

  it('are nearer for texts that share words', async () => {
    const [yard, engineText, other] = await Promise.all([
      vector('the yard is open'),
      vector('the engine is open'),
      vector('zzz qqq xxx'),
    ])
    expect(product(yard ?? [], engineText ?? [])).toBeGreaterThan(product(yard ?? [], other ?? []))
  })

  it('come in the order of their inputs, with the tokens of all', async () => {
    const inputs = ['the yard', 'No train', 'hello']
    const body = await embed(inputs)
    expect(body.data.map(({ index }) => index)).toEqual([0, 1, 2])
    const counts: number[] = []
    for (const [index, input] of inputs.entries()) {
      const alone = await embed(input)
      expect(body.data[index]?.embedding).toEqual(alone.data[0]?.embedding)
      counts.push(alone.usage.prompt_tokens)
    }
    const total = counts.reduce((sum, count) => sum + count, 0)
    expect(body.usage).toEqual({ prompt_tokens: total, total_tokens: total })
  })

  it('are the same for a text and its tokens', async () => {
    const { tokens } = (await (await engine.post('/v1/tokenize', { prompt: 'the yard' })).json()) as {
      tokens: number[]
    }
    expect(await vector(tokens)).toEqual(await vector('the yard'))
    expect((await embed([tokens, tokens])).data).toHaveLength(2)
  })

  it('can be had as base64 of floats', async () => {
    const numbers = await vector('the yard')
    const text = (await embed('the yard', { encoding_format: 'base64' })).data[0]?.embedding as string
    const bytes = Buffer.from(text, 'base64')
    const floats = numbers.map((_, index) => bytes.readFloatLE(index * 4))
    expect(floats).toEqual(numbers.map(Math.fround))
  })

  it.each([
    ['nothing', '', 400, 'invalid_value'],
    ['an empty list', [], 400, 'invalid_value'],
    ['a token that the model does not have', [999_999], 400, 'invalid_value'],
    ['too long a text', 'x'.repeat(300), 400, 'context_length_exceeded'],
  ])('of %s are refused', async (_, input, status, code) => {
    const response = await engine.post('/v1/embeddings', { model: 'tiny', input })
    expect([response.status, await response.json()]).toMatchObject([
      status,
      { error: { code, param: 'input' } },
    ])
  })

  it('in another size are refused, since the model was not made for it', async () => {
    const response = await engine.post('/v1/embeddings', { model: 'tiny', input: 'x', dimensions: 32 })
    expect(await response.json()).toMatchObject({ error: { code: 'invalid_value', param: 'dimensions' } })
  })

  it('are all that an embedding engine serves', async () => {
    expect(await (await engine.chat({})).json()).toMatchObject({ error: { code: 'not_supported' } })
  })
})
