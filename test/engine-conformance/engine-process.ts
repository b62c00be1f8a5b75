import { type ChildProcess, spawn } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { createInterface } from 'node:readline'
import type { Command, Engine, Exit, HttpCall, HttpResult, Launch } from '../../src/engines/engine.ts'

const POLL_MS = 20

/** One engine as a process of its own group, started from its adapter's command. */
export class EngineProcess implements AsyncDisposable {
  readonly lines: string[] = []
  readonly exited: Promise<Exit>
  readonly pid: number
  readonly #child: ChildProcess

  readonly engine: Engine
  readonly launch: Launch

  private constructor(engine: Engine, launch: Launch, command: Command) {
    this.engine = engine
    this.launch = launch
    const inherited = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => ['PATH', 'HOME', 'LANG', 'TMPDIR'].includes(name)),
    )
    this.#child = spawn(command.file, command.argv, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...inherited, ...command.env },
    })
    this.pid = this.#child.pid ?? 0
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream) createInterface({ input: stream }).on('line', (line) => this.lines.push(line))
    }
    this.exited = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      // `close` and not `exit`: the last lines are in by then.
      this.#child.once('close', (code, signal) =>
        resolve({ ...(code !== null && { code }), ...(signal !== null && { signal }) }),
      )
    })
    process.once('exit', this.#killGroup)
  }

  static start(engine: Engine, launch: Launch, moreArgs: readonly string[] = []): EngineProcess {
    const command = engine.command(launch)
    return new EngineProcess(engine, launch, { ...command, argv: [...command.argv, ...moreArgs] })
  }

  /** Probes as the agent does; returns every verdict until the first `ready`. */
  async untilReady(timeoutMs = 60_000): Promise<readonly string[]> {
    const verdicts: string[] = []
    const { engine } = this
    await until(
      async () => {
        if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
          throw new Error(`${engine.name} ended while loading:\n${this.lines.join('\n')}`)
        }
        const verdict = engine.readReadiness(await this.call(engine.readiness))
        verdicts.push(verdict)
        return verdict === 'ready'
      },
      `${engine.name} to be ready`,
      { timeoutMs },
    )
    return verdicts
  }

  /** Makes a call of the adapter's description. */
  async call({ method, path, body, timeoutMs }: HttpCall): Promise<HttpResult> {
    try {
      const response = await this.fetch(path, {
        method,
        signal: AbortSignal.timeout(timeoutMs),
        ...(body !== undefined && { body: JSON.stringify(body) }),
      })
      return { kind: 'answer', status: response.status, body: await response.text() }
    } catch (error) {
      const { name, cause } = error as Error
      if (name === 'TimeoutError') return { kind: 'timeout' }
      return { kind: (cause as { code?: string })?.code === 'ECONNREFUSED' ? 'refused' : 'reset' }
    }
  }

  fetch(path: string, init: RequestInit & { key?: string | undefined } = {}): Promise<Response> {
    const key = 'key' in init ? init.key : this.launch.credential
    return fetch(`http://127.0.0.1:${this.launch.port}${path}`, {
      ...init,
      headers: {
        'content-type': 'application/json',
        connection: 'close',
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
      },
    })
  }

  /** The adapter's stop policy, step by step; resolves to how it ended. */
  async stop(): Promise<Exit> {
    for (const step of this.engine.stop) {
      this.signal(step.signal)
      const waited = new AbortController()
      const done = await Promise.race([
        this.exited.then(() => true),
        delay(step.waitMs, waited.signal).then(() => false),
      ])
      waited.abort()
      if (done) break
    }
    // What the last step of every policy is for: workers that outlive their parent.
    this.signal('SIGKILL')
    return this.exited
  }

  signal(signal: NodeJS.Signals): void {
    try {
      process.kill(-this.pid, signal)
    } catch {
      // Nobody is left in the group.
    }
  }

  /** Pids that are left in the process group. */
  groupMembers(): readonly number[] {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number)
      .filter((pid) => groupOf(pid) === this.pid)
  }

  /** What `ps` shows of it. */
  commandLine(): string {
    return readFileSync(`/proc/${this.pid}/cmdline`, 'utf8')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#killGroup()
    process.off('exit', this.#killGroup)
    await this.exited.catch(() => undefined)
  }

  readonly #killGroup = () => this.signal('SIGKILL')
}

/** Waits for a condition. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  { timeoutMs = 10_000, pollMs = POLL_MS }: { timeoutMs?: number; pollMs?: number } = {},
): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs
  while (!(await condition())) {
    if (performance.now() > deadlineMs) throw new Error(`waited ${timeoutMs} ms for ${what}`)
    await delay(pollMs)
  }
}

export async function freePort(): Promise<number> {
  const { server, port } = await takenPort()
  await new Promise((resolve) => server.close(resolve))
  return port
}

/** A port with somebody on it. */
export async function takenPort(): Promise<{ server: Server; port: number }> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return { server, port: address.port }
}

function delay(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}

/** The fifth field of `/proc/<pid>/stat`, counted after the name, which may hold anything. A zombie has left. */
function groupOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const [state, , group] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return state === 'Z' ? undefined : Number(group)
  } catch {
    return undefined
  }
}
