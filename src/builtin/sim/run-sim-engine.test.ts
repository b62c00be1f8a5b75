import { connect } from 'node:net'
import { describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { FakeClock } from '../../base/fake-clock.ts'
import type { Exchange } from './exchange.ts'
import { fetchFrom } from './fetch-exchange.ts'
import { listenHttp, type SimListen } from './node-listener.ts'
import { runSimEngine } from './run-sim-engine.ts'
import { type SimOptions, simOptions } from './sim-options.ts'
import { events, readUntilBroken, TEN_MS } from './sim-world.testing.ts'

/** An engine process on a real port and the real clock, a hundred times faster than it would be. */
async function aProcess(overrides: Partial<SimOptions> = {}) {
  const stop = new AbortController()
  const lines: string[] = []
  let exitCode: number | undefined
  let ready: (port: number) => void = () => {}
  const opened = new Promise<number>((resolve) => {
    ready = resolve
  })
  const exited = runSimEngine(
    simOptions({ model: 'demo', port: 0, profile: TEN_MS, speed: 20, ...overrides }),
    {
      clock: systemClock,
      writeLog: (line) => lines.push(line),
      shutdown: stop.signal,
      onReady: ready,
    },
  ).then((code) => {
    exitCode = code
    return code
  })
  const port = await Promise.race([opened, exited.then(() => -1)])
  const url = `http://127.0.0.1:${port}`
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    fetch(url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
      ...init,
    })
  const chat = (body: Record<string, unknown> = {}, init: RequestInit = {}) =>
    post('/v1/chat/completions', { messages: [{ role: 'user', content: 'hello there' }], ...body }, init)
  const running = async () => {
    const page = await (await fetch(`${url}/metrics`)).text()
    return Number(/^vllm:num_requests_running\{.*\} (.*)$/m.exec(page)?.[1])
  }
  return {
    port,
    url,
    lines,
    post,
    chat,
    running,
    exited,
    exitCode: () => exitCode,
    shutdown: () => stop.abort(),
    async [Symbol.asyncDispose]() {
      stop.abort()
      await exited
    },
  }
}

const ENDLESS = { stream: true, max_tokens: 100_000, ignore_eos: true }

describe('an engine process', () => {
  it('answers over a socket, streamed and whole', async () => {
    await using sim = await aProcess()
    const whole = (await (await sim.chat()).json()) as { choices: { message: { content: string } }[] }
    const streamed = events(await (await sim.chat({ stream: true })).text())
    const text = streamed.map((event) => event.choices?.[0]?.delta.content ?? '').join('')
    expect(text).toBe(whole.choices[0]?.message.content)
    expect(streamed.at(-1)).toBe('[DONE]')
    expect(sim.lines.at(-1)).toContain('Application startup complete.')
  })

  it('sends the head of a stream before the first token', async () => {
    await using sim = await aProcess({ speed: 0.0001 })
    const leaving = new AbortController()
    const response = await sim.chat({ stream: true }, { signal: leaving.signal })
    expect(response.status).toBe(200)
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    leaving.abort()
  })

  it('aborts when the client hangs up, before the first token, between tokens and on a plain request', async () => {
    await using sim = await aProcess({ maxModelLen: 32_768 })
    for (const ask of [ENDLESS, { ...ENDLESS, stream: false, max_tokens: 30_000 }]) {
      const leaving = new AbortController()
      const response = sim.chat(ask.stream ? { ...ask, max_tokens: 30_000 } : ask, { signal: leaving.signal })
      response.catch(() => {})
      if (ask.stream) await (await response).body?.getReader().read()
      await eventually(async () => expect(await sim.running()).toBe(1))
      leaving.abort()
      await eventually(async () => expect(await sim.running()).toBe(0))
    }
  })

  it('exits with 0 at once on SIGTERM, ending what runs with abort', async () => {
    const sim = await aProcess({ maxModelLen: 32_768 })
    const response = await sim.chat({ ...ENDLESS, max_tokens: 30_000 })
    await eventually(async () => expect(await sim.running()).toBe(1))
    sim.shutdown()
    const all = events(await response.text())
    expect(all.at(-2).choices[0].finish_reason).toBe('abort')
    expect(await sim.exited).toBe(0)
    await expect(fetch(`${sim.url}/health`)).rejects.toThrow()
  })

  it('drains with a shutdown timeout and then exits with 0', async () => {
    const sim = await aProcess({ shutdownTimeoutMs: 60_000 })
    const response = await sim.chat({ stream: true, max_tokens: 200, ignore_eos: true })
    sim.shutdown()
    const all = events(await response.text())
    expect(all.at(-2).choices[0].finish_reason).toBe('length')
    expect(await sim.exited).toBe(0)
  })

  it('dies of a crash with its exit code and breaks its connections', async () => {
    const sim = await aProcess({ maxModelLen: 32_768 })
    const broken = readUntilBroken(await sim.chat({ ...ENDLESS, max_tokens: 30_000 }))
    await sim.post('/admin/fault', { kind: 'crash', exitCode: 137 })
    expect((await broken).error).toBeDefined()
    expect(await sim.exited).toBe(137)
    await expect(fetch(`${sim.url}/health`)).rejects.toThrow()
  })

  it('cuts a socket in the middle of a stream, after what was sent', async () => {
    await using sim = await aProcess()
    await sim.post('/admin/fault', { kind: 'cut', afterTokens: 4 })
    const { body, error } = await readUntilBroken(
      await sim.chat({ stream: true, max_tokens: 50, ignore_eos: true }),
    )
    expect(events(body)).toHaveLength(5)
    expect(error).toBeDefined()
  })

  it('closes its port for a while and opens it again', async () => {
    await using sim = await aProcess()
    expect((await sim.post('/admin/fault', { kind: 'connect_refuse', durationMs: 300 })).status).toBe(200)
    await eventually(() => expect(dial(sim.port)).resolves.toBe('ECONNREFUSED'))
    await eventually(() => expect(dial(sim.port)).resolves.toBe('connected'))
  })

  it('refuses a body that is too large', async () => {
    await using sim = await aProcess()
    const answer = await sim
      .post('/v1/chat/completions', { messages: [{ role: 'user', content: 'x'.repeat(33 * 2 ** 20) }] })
      .then((response) => response.status)
      .catch(() => 'broken')
    expect([413, 'broken']).toContain(answer)
    expect((await fetch(`${sim.url}/health`)).status).toBe(200)
  })

  it('says that its port is taken, in the words people search for, and exits with 1', async () => {
    await using first = await aProcess()
    const second = await aProcess({ port: first.port })
    expect(await second.exited).toBe(1)
    expect(second.lines.join('')).toMatch(/\[Errno 98\].*address already in use/)
  })

  it('does not load an adapter from a path that is not there', async () => {
    await using sim = await aProcess({ enableLora: true, runtimeLora: true })
    const load = (path: string) => sim.post('/v1/load_lora_adapter', { lora_name: 'a', lora_path: path })
    expect((await load('/no/such/adapter')).status).toBe(404)
    expect((await load(import.meta.dirname)).status).toBe(200)
  })
})

describe('starting', () => {
  /** A listener without a socket, and the engine behind it on a fake clock. */
  function started(overrides: Partial<SimOptions>) {
    const clock = new FakeClock()
    const stop = new AbortController()
    const lines: string[] = []
    let handle: ((exchange: Exchange) => void) | undefined
    const listen: SimListen = async (given) => {
      handle = given
      return {
        port: 1,
        refuse: () => {},
        close: async () => {
          handle = undefined
        },
      }
    }
    let exitCode: number | undefined
    const exited = runSimEngine(simOptions({ model: 'demo', startupMs: 10_000, ...overrides }), {
      clock,
      writeLog: (line) => lines.push(line),
      shutdown: stop.signal,
      listen,
    }).then((code) => {
      exitCode = code
    })
    return { clock, lines, stop, exited, exitCode: () => exitCode, handle: () => handle }
  }

  it('refuses connections and logs its progress until it is ready', async () => {
    const { clock, lines, handle, stop, exited } = started({})
    await clock.advance(5000)
    expect(handle()).toBeUndefined()
    expect(lines.join('')).toMatch(/Loading safetensors checkpoint shards: +50% Completed \| 2\/4/)
    expect(lines.join('')).not.toContain('100% Completed')
    await clock.advance(5000)
    const log = lines.join('')
    expect(log).toMatch(/Model loading took [\d.]+ GiB and [\d.]+ seconds/)
    expect(log).toMatch(/Available KV cache memory: [\d.]+ GiB/)
    expect(log).toMatch(/GPU KV cache size: [\d,]+ tokens/)
    expect(log).toMatch(/Maximum concurrency for [\d,]+ tokens per request: [\d.]+x/)
    expect(log).toContain('Application startup complete.')
    const given = handle()
    if (given === undefined) throw new Error('not listening')
    expect((await fetchFrom(given)(new Request('http://sim/health'))).status).toBe(200)
    stop.abort()
    await clock.advance(100)
    await exited
    expect(handle()).toBeUndefined()
  })

  it('ends at once with 0 when told to stop while loading', async () => {
    const { clock, stop, exited, exitCode } = started({})
    await clock.advance(3000)
    stop.abort()
    await exited
    expect(exitCode()).toBe(0)
    expect(clock.pending).toBe(0)
  })

  const failures = [
    {
      options: { startupFail: 'oom' },
      code: 1,
      words: /torch\.OutOfMemoryError: CUDA out of memory\. Tried to allocate ([\d.]+ \w+)/,
    },
    { options: { startupFail: 'bad_arg' }, code: 2, words: /vllm serve: error: unrecognized arguments/ },
    {
      options: { startupFail: 'missing_model' },
      code: 1,
      words: /is not a local folder and is not a valid model identifier/,
    },
    { options: { startupFail: 'port' }, code: 1, words: /\[Errno 98\].*[Aa]ddress already in use/ },
    {
      options: { numGpuBlocksOverride: 64, maxModelLen: 8192 },
      code: 1,
      words:
        /To serve at least one request with the models's max seq len \((\d+)\), \(?([\d.]+) GiB KV cache is needed, which is larger than the available KV cache memory \(([\d.]+) GiB\)\.( Based on the available memory, the estimated maximum model length is (\d+))/,
    },
    { options: { gpuMemoryUtilization: 0.1 }, code: 1, words: /No available memory for the cache blocks/ },
  ] as const
  for (const { options, code, words } of failures)
    it(`fails with ${code} and vLLM's words for ${JSON.stringify(options)}`, async () => {
      const { clock, lines, exited, exitCode, handle } = started(options)
      await clock.advance(10_000)
      await exited
      expect(exitCode()).toBe(code)
      expect(lines.join('')).toMatch(words)
      expect(handle()).toBeUndefined()
    })

  it('never logs a key', async () => {
    const { clock, lines, stop, exited } = started({ apiKeys: ['sk-very-secret'], startupMs: 0 })
    await clock.advance(10)
    stop.abort()
    await clock.advance(100)
    await exited
    expect(lines.join('')).not.toContain('sk-very-secret')
  })
})

describe('a listener', () => {
  it('closes connections that stay open', async () => {
    const listener = await listenHttp(() => {}, { host: '127.0.0.1', port: 0, clock: systemClock })
    const socket = connect(listener.port, '127.0.0.1')
    const ended = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => {})
    socket.write('GET /health HTTP/1.1\r\nhost: x\r\n\r\n')
    await listener.close()
    await ended
  })
})

/** Waits for a condition, generously: this machine may be busy. */
function eventually(check: () => Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 15_000, interval: 10 })
}

function dial(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve('connected')
    })
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
  })
}
