import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { makeKey } from '../src/base/key-format.ts'
import { type LoadResult, steadyLoad, streamLoad } from './gateway-load.ts'
import { serveProxy } from './gateway-proxy.ts'
import { serveUpstream } from './gateway-upstream.ts'

/** How long and how often; the defaults take about three minutes. */
export interface GatewayBenchOptions {
  readonly rounds: number
  readonly seconds: number
  readonly streams: number
  readonly paceMs: number
  readonly perSecond: number
}

const DEFAULTS: GatewayBenchOptions = { rounds: 5, seconds: 4, streams: 256, paceMs: 20, perSecond: 1_000 }
const PORTS = { upstream: [17_811, 17_812], yard: 17_801, nginx: 17_802 }

/**
 * Our gateway beside nginx and no proxy at all, in one run with interleaved rounds. The proxy has one processor, load
 * and upstream the other. Prints medians as a Markdown table. Arguments: `--rounds N --seconds N --streams N
 * --pace-ms N --per-second N`. Needs Linux with nginx, wrk and taskset.
 */
export async function runGatewayBench(argv: readonly string[]): Promise<void> {
  if (argv[0] === '--part') {
    await runPart(argv[1] ?? '', argv.slice(2))
    return
  }
  const options = optionsOf(argv)
  const directory = mkdtempSync(join(tmpdir(), 'gateway-bench-'))
  const children: ChildProcess[] = []
  try {
    await measure(options, directory, children)
  } finally {
    for (const child of children) child.kill('SIGTERM')
    rmSync(directory, { recursive: true, force: true })
  }
}

interface Proxy {
  readonly name: string
  readonly port: number
  /** Process whose processor time counts; undefined for no proxy. */
  readonly pid: number | undefined
}

interface Numbers {
  readonly perSecond: number[]
  readonly cpuUsPerRequest: number[]
  readonly p50Ms: number[]
  readonly p99Ms: number[]
  readonly cpuUsPerEvent: number[]
  readonly gapP99Ms: number[]
}

async function measure(
  options: GatewayBenchOptions,
  directory: string,
  children: ChildProcess[],
): Promise<void> {
  const key = makeKey('yk', randomBytes).text
  const many = cpus().length > 1
  const [loadCpu, proxyCpu] = many ? ['0', '1'] : ['0', '0']
  const start = (cpu: string, command: readonly string[]): ChildProcess => {
    const child = spawn('taskset', ['-c', cpu, ...command], { stdio: ['ignore', 'inherit', 'inherit'] })
    children.push(child)
    return child
  }
  const part = (cpu: string, ...args: readonly string[]): ChildProcess =>
    start(cpu, [process.execPath, process.argv[1] ?? '', 'gateway', '--part', ...args])
  const events = String(Math.max(50, Math.round(2_000 / options.paceMs)))
  part(loadCpu, 'upstream', PORTS.upstream.join(','), events, String(options.paceMs))
  const yard = part(proxyCpu, 'proxy', String(PORTS.yard), PORTS.upstream.join(','), key)
  writeFileSync(join(directory, 'nginx.conf'), nginxConf(directory))
  const nginx = start(proxyCpu, ['nginx', '-p', directory, '-c', join(directory, 'nginx.conf')])
  for (const port of [...PORTS.upstream, PORTS.yard, PORTS.nginx]) await listening(port)

  const proxies: readonly Proxy[] = [
    { name: 'direct', port: PORTS.upstream[0] ?? 0, pid: undefined },
    { name: 'nginx', port: PORTS.nginx, pid: workerOf(nginx.pid ?? 0) },
    { name: 'yard gateway', port: PORTS.yard, pid: yard.pid },
  ]
  const numbers = new Map<string, Numbers>(
    proxies.map(({ name }) => [
      name,
      { perSecond: [], cpuUsPerRequest: [], p50Ms: [], p99Ms: [], cpuUsPerEvent: [], gapP99Ms: [] },
    ]),
  )
  const lua = join(directory, 'request.lua')
  writeFileSync(lua, wrkScript(key))
  // The first run of each warms it up and is not counted.
  for (let round = 0; round <= options.rounds; round++) {
    for (const proxy of proxies) {
      const into = numbers.get(proxy.name)
      if (into === undefined) continue
      const burst = burstRun(proxy, lua, loadCpu, options)
      const steady = await loadRun(proxy, 'steady', key, loadCpu, options)
      const stream = await loadRun(proxy, 'stream', key, loadCpu, options)
      if (round === 0) continue
      into.perSecond.push(burst.perSecond)
      into.cpuUsPerRequest.push(burst.cpuUs)
      into.p50Ms.push(steady.result.p50Ms)
      into.p99Ms.push(steady.result.p99Ms)
      into.cpuUsPerEvent.push(stream.cpuUs / stream.result.done)
      into.gapP99Ms.push(stream.result.p99Ms)
    }
  }
  process.stdout.write(report(numbers, options))
}

/** As many requests as 64 connections give. */
function burstRun(
  proxy: Proxy,
  lua: string,
  cpu: string,
  { seconds }: GatewayBenchOptions,
): { perSecond: number; cpuUs: number } {
  const before = cpuUsOf(proxy.pid)
  const run = spawnSync(
    'taskset',
    [
      '-c',
      cpu,
      'wrk',
      '-t1',
      '-c64',
      `-d${seconds}s`,
      '-s',
      lua,
      `http://127.0.0.1:${proxy.port}/v1/chat/completions`,
    ],
    { encoding: 'utf8' },
  )
  const cpuUs = cpuUsOf(proxy.pid) - before
  const requests = Number(/(\d+) requests in/.exec(run.stdout)?.[1] ?? Number.NaN)
  if (/Non-2xx/.test(run.stdout)) throw new Error(`${proxy.name} answered with errors:\n${run.stdout}`)
  return { perSecond: requests / seconds, cpuUs: cpuUs / requests }
}

/** A run of our own load, in a process of its own on the load's processor. */
async function loadRun(
  proxy: Proxy,
  kind: 'steady' | 'stream',
  key: string,
  cpu: string,
  options: GatewayBenchOptions,
): Promise<{ result: LoadResult; cpuUs: number }> {
  const amount = kind === 'steady' ? options.perSecond : options.streams
  const before = cpuUsOf(proxy.pid)
  const child = spawn(
    'taskset',
    [
      '-c',
      cpu,
      process.execPath,
      process.argv[1] ?? '',
      'gateway',
      '--part',
      kind,
      String(proxy.port),
      key,
      String(amount),
      String(options.seconds),
    ],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  let text = ''
  child.stdout.on('data', (bytes) => {
    text += bytes
  })
  await new Promise((resolve) => child.on('close', resolve))
  const result = JSON.parse(text) as LoadResult
  if (result.failed > 0) throw new Error(`${proxy.name}: ${result.failed} requests failed`)
  return { result, cpuUs: cpuUsOf(proxy.pid) - before }
}

async function runPart(part: string, args: readonly string[]): Promise<void> {
  const [first = '', second = '', third = '', fourth = ''] = args
  if (part === 'upstream') {
    serveUpstream(first.split(',').map(Number), { events: Number(second), paceMs: Number(third) })
  } else if (part === 'proxy') {
    serveProxy(Number(first), second.split(',').map(Number), third)
  } else {
    const isStream = part === 'stream'
    const request = requestText(second, isStream)
    const run = isStream ? streamLoad : steadyLoad
    process.stdout.write(JSON.stringify(await run(Number(first), request, Number(third), Number(fourth))))
    process.exit(0)
  }
}

function bodyText(isStream: boolean): string {
  return JSON.stringify({
    model: 'tiny',
    messages: [
      { role: 'system', content: 'You watch the yard and answer in one sentence. '.repeat(8) },
      { role: 'user', content: 'Which train leaves next, and on which track does it stand now? '.repeat(10) },
    ],
    temperature: 0.7,
    max_tokens: 256,
    ...(isStream ? { stream: true } : {}),
  })
}

function requestText(key: string, isStream: boolean): string {
  const body = bodyText(isStream)
  return `POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\naccept: application/json\r\nuser-agent: bench\r\ncontent-length: ${body.length}\r\n\r\n${body}`
}

function wrkScript(key: string): string {
  return `wrk.method = "POST"
wrk.body = [==[${bodyText(false)}]==]
wrk.headers["authorization"] = "Bearer ${key}"
wrk.headers["content-type"] = "application/json"
wrk.headers["accept"] = "application/json"
wrk.headers["user-agent"] = "bench"
`
}

function nginxConf(directory: string): string {
  const servers = PORTS.upstream.map((port) => `    server 127.0.0.1:${port};`).join('\n')
  return `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log ${directory}/error.log;
events { worker_connections 4096; }
http {
  access_log off;
  keepalive_requests 10000000;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  upstream engines {
    least_conn;
${servers}
    keepalive 512;
    keepalive_requests 10000000;
  }
  server {
    listen 127.0.0.1:${PORTS.nginx};
    location / {
      proxy_pass http://engines;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
      client_max_body_size 32m;
    }
  }
}
`
}

/** Processor time that a process has used, user and system; 0 without a process. The kernel counts in 10 ms. */
function cpuUsOf(pid: number | undefined): number {
  if (pid === undefined) return 0
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

function workerOf(master: number): number {
  const children = readFileSync(`/proc/${master}/task/${master}/children`, 'latin1').trim().split(' ')
  return Number(children[0])
}

async function listening(port: number): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    const isUp = await new Promise<boolean>((resolve) => {
      const socket = connect(port, '127.0.0.1')
      socket.on('connect', () => resolve(true))
      socket.on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
    if (isUp) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`nothing listens on port ${port}`)
}

function report(numbers: ReadonlyMap<string, Numbers>, options: GatewayBenchOptions): string {
  const direct = numbers.get('direct')
  const nginx = numbers.get('nginx')
  const rows = [...numbers].map(([name, own]) => {
    const cpu = median(own.cpuUsPerRequest)
    const event = median(own.cpuUsPerEvent)
    const isProxy = name !== 'direct'
    const added = (of: keyof Numbers) => (median(own[of]) - median(direct?.[of] ?? [])) * 1000
    return [
      name,
      median(own.perSecond).toFixed(0),
      isProxy ? cpu.toFixed(1) : '',
      isProxy ? (cpu / median(nginx?.cpuUsPerRequest ?? [])).toFixed(2) : '',
      isProxy ? added('p50Ms').toFixed(0) : `(${(median(own.p50Ms) * 1000).toFixed(0)})`,
      isProxy ? added('p99Ms').toFixed(0) : `(${(median(own.p99Ms) * 1000).toFixed(0)})`,
      isProxy ? event.toFixed(1) : '',
      isProxy ? (event / median(nginx?.cpuUsPerEvent ?? [])).toFixed(2) : '',
      median(own.gapP99Ms).toFixed(1),
    ]
  })
  const head = [
    'proxy',
    'requests/s',
    'CPU µs/request',
    '× nginx',
    `added p50 µs at ${options.perSecond}/s`,
    'added p99 µs',
    `CPU µs/event, ${options.streams} × ${options.paceMs} ms`,
    '× nginx',
    'gap p99 ms',
  ]
  const lines = [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
  return `${lines.join('\n')}\n\nMedians of ${options.rounds} interleaved rounds of ${options.seconds} s; node ${process.version}, ${cpus()[0]?.model ?? 'unknown processor'}. Load and upstream share one processor, the proxy has the other.\n`
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

function optionsOf(argv: readonly string[]): GatewayBenchOptions {
  const of = (flag: string, otherwise: number) => {
    const at = argv.indexOf(flag)
    const value = at === -1 ? otherwise : Number(argv[at + 1])
    if (!(value > 0)) throw new Error(`${flag} takes a number above zero`)
    return value
  }
  return {
    rounds: of('--rounds', DEFAULTS.rounds),
    seconds: of('--seconds', DEFAULTS.seconds),
    streams: of('--streams', DEFAULTS.streams),
    paceMs: of('--pace-ms', DEFAULTS.paceMs),
    perSecond: of('--per-second', DEFAULTS.perSecond),
  }
}
