import { request } from 'node:http'
import { createServer } from 'node:net'
import { afterAll, describe, expect, it } from 'vitest'
import {
  LONG_ANSWER,
  ModelDir,
  TEST_KEY,
  TestEngine,
  testDeps,
  testOptions,
  until,
  user,
} from './engine.testing.ts'
import { LLAMA_EXIT } from './options.ts'
import { runLlamaEngine, startLlamaEngine } from './run.ts'

const files = new ModelDir()
const modelPath = files.write('tiny')

afterAll(() => files.remove())

describe('an engine that starts', () => {
  it('says that it is loading until it is ready', async () => {
    const started = await startLlamaEngine(testOptions(modelPath), testDeps())
    if (started.kind !== 'listening') throw new Error('it cannot listen')
    const url = `http://127.0.0.1:${started.port}`
    const loading = await fetch(`${url}/health`)
    expect(loading.status).toBe(503)
    expect(await loading.json()).toMatchObject({ error: { message: 'Loading model', code: 'model_loading' } })
    const headers = { authorization: `Bearer ${TEST_KEY}` }
    expect((await fetch(`${url}/v1/models`, { headers })).status).toBe(503)
    expect(await (await fetch(`${url}/version`, { headers })).json()).toEqual({ version: '1.2.3' })
    await started.loaded
    const ready = await fetch(`${url}/health`)
    expect([ready.status, await ready.json()]).toEqual([200, { status: 'ok' }])
    started.stop('SIGTERM')
    expect(await started.ended).toBe(LLAMA_EXIT.ok)
  })

  it.each([
    ['file_missing', () => `${files.path}/none.gguf`],
    ['file_unreadable', () => files.path],
    ['not_gguf', () => files.write('tiny', () => new TextEncoder().encode('<html>'), 'html')],
    ['truncated', () => files.write('tiny', (bytes) => bytes.subarray(0, bytes.length / 2), 'half')],
    ['missing_key', () => files.write('tiny', withoutFeedForward, 'no-ff')],
    ['not_a_model', () => files.write('tiny-lora')],
  ])('ends with exit code 1 and says %s', async (reason, path) => {
    const deps = testDeps()
    expect(await runLlamaEngine(testOptions(path()), deps)).toBe(LLAMA_EXIT.loadFailed)
    expect(deps.lines.at(-1)).toMatchObject({ level: 'error', event: 'load_failed', reason })
  })

  it('ends with exit code 1 when the memory does not suffice, before the kernel kills it', async () => {
    const deps = testDeps({ availableMemoryBytes: () => 1024 * 1024 })
    expect(await runLlamaEngine(testOptions(modelPath, { parallel: 64 }), deps)).toBe(LLAMA_EXIT.loadFailed)
    expect(deps.lines.at(-1)).toMatchObject({ event: 'load_failed', reason: 'out_of_memory' })
  })

  it('ends with exit code 3 when the port is taken', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as { port: number }
    const deps = testDeps()
    expect(await runLlamaEngine(testOptions(modelPath, { port }), deps)).toBe(LLAMA_EXIT.cannotListen)
    expect(deps.lines.at(-1)).toMatchObject({ event: 'cannot_listen', reason: 'EADDRINUSE', port })
    other.close()
  })
})

describe('an engine that stops', () => {
  it('finishes what runs, takes nothing new and ends with 0', async () => {
    const engine = await TestEngine.start(testOptions(modelPath))
    const running = await engine.chat({ ...LONG_ANSWER, stream: true })
    engine.stop('SIGTERM')
    await expect(fetch(`${engine.url}/health`)).rejects.toThrow()
    expect(await running.text()).toMatch(/"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/)
    expect(await engine.ended).toBe(LLAMA_EXIT.ok)
  })

  it('breaks off what runs too long, without a clean end', async () => {
    const engine = await TestEngine.start(testOptions(modelPath, { drainTimeoutMs: 1 }))
    const [stream, whole] = await Promise.all([
      engine.chat({ ...LONG_ANSWER, stream: true }),
      until(async () => expect(await engine.metric('requests_running')).toBe(1)).then(async () => {
        const answer = engine.chat(LONG_ANSWER)
        await until(async () => expect(await engine.metric('requests_running')).toBe(2))
        engine.stop('SIGTERM')
        return answer
      }),
    ])
    await expect(stream.text()).rejects.toThrow()
    expect(whole.status).toBe(503)
    expect(await whole.json()).toMatchObject({ error: { code: 'shutting_down' } })
    expect(await engine.ended).toBe(LLAMA_EXIT.ok)
  })

  it('ends at once on the second signal', async () => {
    const engine = await TestEngine.start(testOptions(modelPath))
    const running = await engine.chat({ ...LONG_ANSWER, stream: true })
    engine.stop('SIGTERM')
    engine.stop('SIGTERM')
    expect(await engine.ended).toBe(LLAMA_EXIT.terminated)
    await expect(running.text()).rejects.toThrow()
  })

  it('stops while it loads', async () => {
    const started = await startLlamaEngine(testOptions(modelPath), testDeps())
    if (started.kind !== 'listening') throw new Error('it cannot listen')
    started.stop('SIGINT')
    expect(await started.ended).toBe(LLAMA_EXIT.ok)
  })
})

describe('an engine with a key', () => {
  it('asks for it everywhere but at /health', async () => {
    const engine = await TestEngine.start(testOptions(modelPath))
    for (const path of ['/v1/models', '/metrics', '/version', '/nothing']) {
      const without = await fetch(engine.url + path)
      expect([path, without.status]).toEqual([path, 401])
      expect(await without.json()).toMatchObject({
        error: { type: 'authentication_error', code: 'invalid_api_key' },
      })
      expect((await fetch(engine.url + path, { headers: { authorization: 'Bearer wrong' } })).status).toBe(
        401,
      )
    }
    expect((await fetch(`${engine.url}/health`)).status).toBe(200)
    expect((await engine.get('/v1/models')).status).toBe(200)
    expect(JSON.stringify(engine.lines)).not.toContain(TEST_KEY)
    await engine.close()
  })

  it('asks for none when it has none', async () => {
    const engine = await TestEngine.start(testOptions(modelPath), { key: undefined })
    expect((await fetch(`${engine.url}/v1/models`)).status).toBe(200)
    await engine.close()
  })
})

describe('a running engine', () => {
  it('lists its names and adapters, counts, and refuses what it does not know', async () => {
    const adapters = [{ name: 'tiny-lora', path: files.write('tiny-lora') }]
    const engine = await TestEngine.start(testOptions(modelPath, { adapters, runtimeAdapters: false }))
    const models = (await (await engine.get('/v1/models')).json()) as { data: object[] }
    expect(models.data).toMatchObject([
      { id: 'tiny', parent: null, max_model_len: 2048, owned_by: 'yardmaster' },
      { id: 'alias', parent: null },
      { id: 'tiny-lora', parent: 'tiny' },
    ])
    expect((await engine.get('/nothing')).status).toBe(404)
    expect((await engine.get('/v1/chat/completions')).status).toBe(405)
    expect((await engine.get('/__proto__')).status).toBe(404)
    const load = { lora_name: 'x', lora_path: '/x' }
    expect((await engine.post('/v1/load_lora_adapter', load)).status).toBe(403)

    await engine.say({ temperature: 0 })
    expect(await engine.metric('prompt_tokens_total')).toBe(9)
    expect(await engine.metric('generation_tokens_total')).toBe(14)
    expect(await engine.metric('time_to_first_token_seconds_count')).toBe(1)
    expect(await engine.metric('inter_token_latency_seconds_count')).toBe(13)
    expect(await engine.metric('requests_total{outcome="stop"}')).toBe(1)
    await engine.close()
  })

  it('turns text into tokens and back, and counts a chat as the chat itself does', async () => {
    const engine = await TestEngine.start(testOptions(modelPath))
    const text = 'The yard is öpen 🚂'
    const { tokens } = (await (
      await engine.post('/tokenize', { content: text, add_special: false })
    ).json()) as {
      tokens: number[]
    }
    expect(await (await engine.post('/detokenize', { tokens })).json()).toEqual({
      prompt: text,
      content: text,
    })
    expect(await (await engine.post('/tokenize', { messages: [user('hello')] })).json()).toMatchObject({
      count: 9,
      max_model_len: 2048,
    })
    await engine.close()
  })

  it('refuses a body beyond its cap before it is sent', async () => {
    const engine = await TestEngine.start(testOptions(modelPath))
    const { port } = engine
    const headers = { authorization: `Bearer ${TEST_KEY}`, 'content-length': 17 * 1024 * 1024 }
    const status = await new Promise((resolve, reject) => {
      const sent = request({ port, method: 'POST', path: '/v1/completions', headers }, (response) => {
        resolve([response.statusCode, response.headers.connection])
        sent.destroy()
      })
      sent.on('error', reject)
      sent.flushHeaders()
    })
    expect(status).toEqual([413, 'close'])
    await engine.close()
  })
})

/** The key whose absence ends the process that loads the file; another of the same length takes its place. */
function withoutFeedForward(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes)
  text.write('llama.feed_forward_lengtX', text.indexOf('llama.feed_forward_length'))
  return text
}
