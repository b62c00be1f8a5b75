import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { vi } from 'vitest'
import { systemClock } from '../../base/clock.ts'
import { jsonLog } from '../../base/log.ts'
import { seededRandom } from '../../base/random.ts'
import { buildTiny, type TinyKind } from '../../engines/tiny/build.ts'
import type { LlamaExitCode, LlamaOptions } from './options.ts'
import { type LlamaDeps, startLlamaEngine } from './run.ts'

/** A directory with the built-in models as files. */
export class ModelDir {
  readonly path = mkdtempSync(join(tmpdir(), 'yard-llama-'))

  write(
    kind: TinyKind,
    change: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
    name: string = kind,
  ): string {
    const path = join(this.path, `${name}.gguf`)
    writeFileSync(path, change(buildTiny(kind)))
    return path
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

export const TEST_KEY = 'engine-key-for-tests'

export function testOptions(modelPath: string, changes: Partial<LlamaOptions> = {}): LlamaOptions {
  return {
    modelPath,
    servedNames: ['tiny', 'alias'],
    host: '127.0.0.1',
    port: 0,
    contextTokens: 2048,
    parallel: 2,
    threads: 1,
    embeddings: false,
    adapters: [],
    runtimeAdapters: true,
    maxAdapters: 2,
    maxQueue: 2,
    queueTimeoutMs: 10_000,
    drainTimeoutMs: 10_000,
    ...changes,
  }
}

export interface LogLine extends Readonly<Record<string, unknown>> {
  readonly event: string
}

/** The world of a test engine: real time, its log in memory. */
export function testDeps(changes: Partial<LlamaDeps> = {}): LlamaDeps & { lines: LogLine[] } {
  const lines: LogLine[] = []
  const log = jsonLog((line) => lines.push(JSON.parse(line)), systemClock, { part: 'llama' })
  return {
    clock: systemClock,
    log,
    random: seededRandom(1),
    key: TEST_KEY,
    version: '1.2.3',
    processors: 1,
    availableMemoryBytes: () => undefined,
    onStopSignal: () => () => {},
    lines,
    ...changes,
  }
}

/** A running engine and how to speak to it. */
export class TestEngine {
  readonly url: string
  readonly port: number
  readonly lines: LogLine[]
  readonly ended: Promise<LlamaExitCode>
  readonly stop: (signal: 'SIGTERM' | 'SIGINT') => void

  private constructor(
    started: { port: number; ended: Promise<LlamaExitCode>; stop: (signal: 'SIGTERM' | 'SIGINT') => void },
    lines: LogLine[],
  ) {
    this.port = started.port
    this.url = `http://127.0.0.1:${started.port}`
    this.ended = started.ended
    this.stop = started.stop
    this.lines = lines
  }

  static async start(options: LlamaOptions, changes: Partial<LlamaDeps> = {}): Promise<TestEngine> {
    const deps = testDeps(changes)
    const started = await startLlamaEngine(options, deps)
    if (started.kind !== 'listening') throw new Error('the engine cannot listen')
    await started.loaded
    return new TestEngine(started, deps.lines)
  }

  async close(): Promise<void> {
    this.stop('SIGTERM')
    this.stop('SIGTERM')
    await this.ended
  }

  get(path: string): Promise<Response> {
    return fetch(this.url + path, { headers: { authorization: `Bearer ${TEST_KEY}` } })
  }

  post(path: string, body: object | string, signal?: AbortSignal): Promise<Response> {
    return fetch(this.url + path, {
      method: 'POST',
      headers: { authorization: `Bearer ${TEST_KEY}`, 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
      ...(signal ? { signal } : {}),
    })
  }

  chat(fields: object, signal?: AbortSignal): Promise<Response> {
    return this.post('/v1/chat/completions', { model: 'tiny', messages: [user('hello')], ...fields }, signal)
  }

  /** The text of a whole, successful chat answer. */
  async say(fields: object): Promise<string> {
    const response = await this.chat(fields)
    const body = (await response.json()) as ChatBody
    if (!response.ok) throw new Error(JSON.stringify(body))
    return body.choices[0]?.message.content ?? ''
  }

  /** One sample of `/metrics`. */
  async metric(name: string): Promise<number> {
    const text = await (await this.get('/metrics')).text()
    const line = text.split('\n').find((each) => each.startsWith(`yard_engine_${name} `))
    if (line === undefined) throw new Error(`there is no metric ${name}`)
    return Number(line.split(' ')[1])
  }
}

export interface ChatBody {
  readonly choices: {
    readonly index: number
    readonly message: { readonly role: string; readonly content: string }
    readonly finish_reason: string
  }[]
  readonly usage: {
    readonly prompt_tokens: number
    readonly completion_tokens: number
    readonly total_tokens: number
    readonly prompt_tokens_details: { readonly cached_tokens: number }
  }
}

/** Writes for about a second: long enough to be looked at. */
export const LONG_ANSWER = { ignore_eos: true, max_tokens: 2000 }

/** Until something is so, looked at often. */
export function until(check: () => Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 10_000, interval: 5 })
}

export function user(content: string): object {
  return { role: 'user', content }
}

/** The events of a finished stream: parsed, `[DONE]` as itself. */
export async function events(response: Response): Promise<unknown[]> {
  const text = await response.text()
  return text
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => {
      const data = event.replace(/^data: /, '')
      return data === '[DONE]' ? data : JSON.parse(data)
    })
}
