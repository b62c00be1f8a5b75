import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { median } from './median.ts'

const ROUNDS = 5
/** Beside the folder of the bundled benchmarks. */
const YARD = resolve(process.argv[1] ?? '', '../../yard.js')

/**
 * From the start of `yard dev` on an empty directory to the first token of a streamed answer, beside the start of Node
 * itself; and the resident memory of the idle system. Prints a Markdown table of medians. The build of `npm start` is
 * not in it.
 */
export async function runStartupBench(): Promise<void> {
  const rows: {
    bare: number
    up: number
    ready: number
    firstToken: number
    yardMiB: number
    engineMiB: number
    again: number
  }[] = []
  for (let round = 0; round < ROUNDS; round++) rows.push(await measureOnce())
  const of = (key: keyof (typeof rows)[number]) => median(rows.map((row) => row[key]))
  console.log('| what | median | × starting Node |\n|---|---|---|')
  const line = (what: string, ms: number) =>
    console.log(`| ${what} | ${(ms / 1000).toFixed(2)} s | ${(ms / of('bare')).toFixed(1)} |`)
  line('`node -e 0`', of('bare'))
  line('first start: API and gateway answer', of('up'))
  line('first start: `tiny` is ready', of('ready'))
  line('first start: first token of an answer', of('firstToken'))
  line('second start on the same directory: first token', of('again'))
  console.log(`| idle memory of \`yard dev\` (control, gateway, agent) | ${of('yardMiB').toFixed(0)} MiB | |`)
  console.log(`| idle memory of the engine with \`tiny\` | ${of('engineMiB').toFixed(0)} MiB | |`)
}

async function measureOnce() {
  const bareBegan = performance.now()
  await new Promise((done) => spawn(process.execPath, ['-e', '0']).once('close', done))
  const bare = performance.now() - bareBegan
  const dir = mkdtempSync(join(tmpdir(), 'yard-bench-'))
  try {
    const first = await start(dir)
    await new Promise((done) => setTimeout(done, 3_000))
    const yardMiB = residentMiB(first.child.pid ?? 0)
    const engineMiB = childrenOf(dir).reduce((sum, pid) => sum + residentMiB(pid), 0)
    await stop(first.child)
    const second = await start(dir)
    await stop(second.child)
    return {
      bare,
      up: first.up,
      ready: first.ready,
      firstToken: first.firstToken,
      yardMiB,
      engineMiB,
      again: second.firstToken,
    }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

async function start(
  dir: string,
): Promise<{ child: ChildProcess; up: number; ready: number; firstToken: number }> {
  const began = performance.now()
  const child = spawn(
    process.execPath,
    [YARD, 'dev', '--data-dir', dir, '--gateway-port', '0', '--control-port', '0', '--agent-port', '0'],
    { stdio: 'ignore' },
  )
  const file = await poll(() =>
    existsSync(join(dir, 'dev.json'))
      ? (JSON.parse(readFileSync(join(dir, 'dev.json'), 'utf8')) as {
          gateway: string
          control: string
          adminKeyFile: string
          pid: number
        })
      : undefined,
  )
  const up = performance.now() - began
  const headers = {
    authorization: `Bearer ${readFileSync(file.adminKeyFile, 'utf8').trim()}`,
    'content-type': 'application/json',
  }
  await poll(async () => {
    const response = await fetch(`${file.control}/api/v1/models/tiny`, { headers })
    return response.ok && ((await response.json()) as { status: { phase: string } }).status.phase === 'ready'
  })
  const ready = performance.now() - began
  const response = await fetch(`${file.gateway}/v1/chat/completions`, {
    method: 'POST',
    headers,
    body: JSON.stringify({
      model: 'tiny',
      stream: true,
      max_tokens: 4,
      messages: [{ role: 'user', content: 'hello' }],
    }),
  })
  if (!response.ok) throw new Error(`the gateway answered ${response.status}: ${await response.text()}`)
  const reader = response.body?.getReader()
  await reader?.read()
  const firstToken = performance.now() - began
  await reader?.cancel()
  return { child, up, ready, firstToken }
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill('SIGINT')
  await new Promise((done) => child.once('close', done))
}

async function poll<Value>(
  check: () => Value | undefined | false | Promise<Value | undefined | false>,
): Promise<Value> {
  for (const deadline = performance.now() + 60_000; performance.now() < deadline; ) {
    const value = await check()
    if (value) return value
    await new Promise((done) => setTimeout(done, 10))
  }
  throw new Error('yard dev did not start within 60 s')
}

function residentMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024
}

/** Engines that the agent of this data directory started, by what their environment carries. */
function childrenOf(dir: string): number[] {
  const { agentId } = JSON.parse(readFileSync(join(dir, 'agent', 'identity.json'), 'utf8')) as {
    agentId: string
  }
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/environ`, 'utf8').includes(`YARD_AGENT_ID=${agentId}\0`)
      } catch {
        return false
      }
    })
    .map(Number)
}
