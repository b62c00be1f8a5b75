import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../base/fake-clock.ts'
import type { HttpCall, HttpResult } from '../../engines/engine.ts'
import { CREDENTIAL, launchOf } from '../../engines/launch.testing.ts'
import { sim } from '../../engines/sim.ts'
import { runSimEngine } from './run-sim-engine.ts'
import { parseSimArgs } from './sim-args.ts'
import { type SimOptions, simOptions } from './sim-options.ts'
import { aSim } from './sim-world.testing.ts'

/** Makes a call of the engine's description, as the agent does. */
function caller({ call, run }: ReturnType<typeof aSim>) {
  return async ({ method, path, body }: HttpCall): Promise<HttpResult> => {
    const init = body === undefined ? {} : { body }
    const response = await run(
      call(method, path, { ...init, headers: { authorization: `Bearer ${CREDENTIAL}` } }),
    )
    return { kind: 'answer', status: response.status, body: await run(response.text()) }
  }
}

/** Starts, does `then` once ready, and gives the log. */
async function logOf(options: Partial<SimOptions>) {
  const clock = new FakeClock()
  const lines: string[] = []
  const stop = new AbortController()
  const exited = runSimEngine(simOptions({ model: 'demo', startupMs: 1000, ...options }), {
    clock,
    writeLog: (line) => lines.push(line.trimEnd()),
    shutdown: stop.signal,
    listen: async () => ({ port: 1, refuse: () => {}, close: async () => {} }),
  })
  await clock.advance(1000)
  stop.abort()
  await clock.advance(1000)
  return { lines, exitCode: await exited }
}

describe('what src/engines says of the simulated engine', () => {
  it('starts it: every flag of the command is known and the key comes by environment', () => {
    const { argv, env } = sim.command(
      launchOf({
        contextTokens: 4096,
        maxConcurrency: 32,
        adapters: [{ name: 'sql', path: '/adapters/sql' }],
        engineArgs: {
          'num-gpu-blocks-override': 4096,
          'enable-prefix-caching': false,
          profile: 'constant:20',
          speed: 4,
          'startup-ms': 10,
        },
      }),
    )
    const parsed = parseSimArgs(argv.slice(argv.indexOf('sim') + 1), env)
    expect(parsed).toMatchObject({
      kind: 'options',
      options: {
        servedModelNames: ['qwen'],
        port: 20_001,
        maxModelLen: 4096,
        maxNumSeqs: 32,
        numGpuBlocksOverride: 4096,
        prefixCaching: false,
        speed: 4,
        enableLora: true,
        runtimeLora: true,
        loraModules: [{ name: 'sql', path: '/adapters/sql' }],
        apiKeys: [CREDENTIAL],
      },
    })
    expect(argv.join(' ')).not.toContain(CREDENTIAL)
  })

  it('reads its health, its version and its load', async () => {
    const world = aSim({ apiKeys: [CREDENTIAL] })
    const ask = caller(world)
    expect(sim.readReadiness(await ask(sim.readiness))).toBe('ready')
    expect(sim.readLiveness(await ask(sim.liveness))).toBe('ready')
    expect(sim.version?.read(await ask(sim.version.call))).toMatch(/^0\.\d+\.\d+/)
    await ask({
      method: 'POST',
      path: '/v1/completions',
      body: { prompt: 'one two three', max_tokens: 7, ignore_eos: true },
      timeoutMs: 1000,
    })
    const page = await ask(sim.metrics ?? sim.readiness)
    expect(page.kind === 'answer' && sim.readLoad(page.body)).toMatchObject({
      running: 0,
      waiting: 0,
      kvUsed: 0,
      promptTokensTotal: 3,
      generationTokensTotal: 7,
      cachedTokensTotal: 0,
      preemptionsTotal: 0,
    })
  })

  it('loads and unloads adapters', async () => {
    const ask = caller(aSim({ apiKeys: [CREDENTIAL], enableLora: true, runtimeLora: true }))
    const load = sim.loadAdapter({ name: 'sql', path: 'org/sql' })
    const unload = sim.unloadAdapter('sql')
    if (!load || !unload) throw new Error('the engine should load adapters at run time')
    for (const step of [load, load, unload, unload])
      expect(step.read(await ask(step.call))).toEqual({ kind: 'ok' })
  })

  it('reads its rerank answers', async () => {
    const answer = await caller(aSim())({
      method: 'POST',
      path: '/v1/rerank',
      body: { query: 'stone', documents: ['iron', 'stone'] },
      timeoutMs: 1000,
    })
    expect(answer.kind === 'answer' && sim.readRerank(answer.body)?.results[0]).toMatchObject({
      index: 1,
      document: 'stone',
    })
  })

  it('follows its progress to the end', async () => {
    const { lines } = await logOf({})
    const fractions = lines.flatMap((line) => sim.progress(line)?.fraction ?? [])
    expect(fractions.length).toBeGreaterThan(6)
    expect([...fractions].sort((a, b) => a - b)).toEqual(fractions)
    expect(fractions.at(-1)).toBe(1)
  })

  const failures = [
    [{ startupFail: 'oom' }, 'out_of_memory'],
    [{ startupFail: 'bad_arg' }, 'bad_argument'],
    [{ startupFail: 'missing_model' }, 'model_not_found'],
    [{ startupFail: 'port' }, 'port_in_use'],
    [{ numGpuBlocksOverride: 64, maxModelLen: 8192 }, 'context_too_long'],
  ] as const
  for (const [options, reason] of failures)
    it(`knows why it could not start: ${reason}`, async () => {
      const { lines, exitCode } = await logOf(options)
      expect(sim.classify({ code: exitCode }, lines).reason).toBe(reason)
    })

  it('knows a crash for a device fault by the last words', async () => {
    const lines: string[] = []
    const { run, post } = aSim({}, { log: (_level, _at, text) => lines.push(text) })
    await run(post('/admin/fault', { kind: 'crash', reason: 'device_fault' }))
    expect(sim.classify({ code: 1 }, lines).reason).toBe('device_fault')
  })
})
