import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

/** The built program; `YARD_E2E_PROGRAM` names another build. */
export const YARD = resolve(process.env.YARD_E2E_PROGRAM ?? join(import.meta.dirname, '../../dist/yard.js'))

export interface Finished {
  readonly exitCode: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A process under test, with everything it wrote. */
export class Running {
  readonly child: ChildProcess
  stdout = ''
  stderr = ''
  readonly finished: Promise<Finished>

  /** `prefix`: a command that runs the rest, such as in another network namespace. */
  constructor(
    args: readonly string[],
    env: Readonly<Record<string, string | undefined>> = {},
    input?: string,
    prefix: readonly string[] = [],
  ) {
    const [program = process.execPath, ...rest] = [...prefix, process.execPath, YARD, ...args]
    this.child = spawn(program, rest, {
      env: { PATH: process.env.PATH, HOME: '/nonexistent', LANG: 'C.UTF-8', ...env },
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    this.child.stdin?.on('error', () => {})
    this.child.stdin?.end(input ?? '')
    this.child.stdout?.on('data', (bytes: Buffer) => {
      this.stdout += bytes.toString('utf8')
    })
    this.child.stderr?.on('data', (bytes: Buffer) => {
      this.stderr += bytes.toString('utf8')
    })
    this.finished = new Promise((done) =>
      this.child.once('close', (exitCode) => done({ exitCode, stdout: this.stdout, stderr: this.stderr })),
    )
  }

  get pid(): number {
    return this.child.pid ?? -1
  }

  async kill(signal: NodeJS.Signals): Promise<Finished> {
    this.child.kill(signal)
    return this.finished
  }
}

/** Runs one command to its end. */
export function run(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
  input?: string,
): Promise<Finished> {
  return new Running(args, env, input).finished
}

/** Waits until `check` gives something; fails with `what` after the deadline. */
export async function until<T>(
  what: string,
  check: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 60_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  let last: unknown
  for (;;) {
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value
    } catch (error) {
      last = error
    }
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms: ${what}${last === undefined ? '' : ` (${String(last)})`}`)
    await new Promise((done) => setTimeout(done, 25))
  }
}

export interface DevFile {
  readonly gateway: string
  readonly control: string
  readonly adminKeyFile: string
  readonly pid: number
}

/** A fresh directory that goes with the test. */
export function freshDir(): { readonly path: string } & Disposable {
  const path = mkdtempSync(join(tmpdir(), 'yard-e2e-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** A `yard dev` on ports of its own. Disposing ends it and every engine that it started. */
export class Dev implements AsyncDisposable {
  readonly dataDir: string
  readonly process: Running

  private constructor(dataDir: string, process: Running) {
    this.dataDir = dataDir
    this.process = process
  }

  /** Starts and waits until `dev.json` is there and, unless `--no-model`, `tiny` is ready. */
  static async start(dataDir: string, more: readonly string[] = []): Promise<Dev> {
    const dev = new Dev(
      dataDir,
      new Running([
        'dev',
        '--data-dir',
        dataDir,
        '--gateway-port',
        '0',
        '--control-port',
        '0',
        '--agent-port',
        '0',
        ...more,
      ]),
    )
    await until(`yard dev is up\n${dev.process.stderr}`, () => {
      if (dev.process.child.exitCode !== null) throw new Error(`yard dev ended: ${dev.process.stderr}`)
      return existsSync(join(dataDir, 'dev.json')) && dev.file.pid === dev.process.pid
    })
    if (!more.includes('--no-model')) {
      await until('tiny is ready', async () =>
        (await dev.yard(['list', '-o', 'json'])).stdout.includes('"phase": "ready"'),
      )
    }
    return dev
  }

  get file(): DevFile {
    return JSON.parse(readFileSync(join(this.dataDir, 'dev.json'), 'utf8')) as DevFile
  }

  get key(): string {
    return readFileSync(this.file.adminKeyFile, 'utf8').trim()
  }

  /** A client command against this cluster. */
  yard(args: readonly string[], input?: string): Promise<Finished> {
    return run([...args, '--data-dir', this.dataDir], {}, input)
  }

  /** A request to the gateway with the admin key. */
  ask(path: string, body: unknown, init: RequestInit = {}): Promise<Response> {
    return fetch(`${this.file.gateway}${path}`, {
      method: 'POST',
      body: JSON.stringify(body),
      ...init,
      headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json', ...init.headers },
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.process.child.exitCode === null && this.process.child.signalCode === null) {
      this.process.child.kill('SIGINT')
      const ended = await Promise.race([
        this.process.finished,
        new Promise((done) => setTimeout(() => done(undefined), 15_000).unref()),
      ])
      if (ended === undefined) await this.process.kill('SIGKILL')
    }
    killEnginesOf(this.dataDir)
  }
}

/** Process ids of engines that an agent with this data directory started. */
export function enginePids(dataDir: string): readonly number[] {
  const identity = join(dataDir, 'agent', 'identity.json')
  if (!existsSync(identity)) return []
  const { agentId } = JSON.parse(readFileSync(identity, 'utf8')) as { agentId: string }
  const pids: number[] = []
  for (const name of readdirNumbers('/proc')) {
    try {
      const env = readFileSync(`/proc/${name}/environ`, 'utf8')
      if (env.includes(`YARD_AGENT_ID=${agentId}\0`)) pids.push(Number(name))
    } catch {
      // It ended while we looked, or it is not ours to read.
    }
  }
  return pids
}

function killEnginesOf(dataDir: string): void {
  for (const pid of enginePids(dataDir)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
}

function readdirNumbers(path: string): readonly string[] {
  return readdirSync(path).filter((name) => /^\d+$/.test(name))
}
