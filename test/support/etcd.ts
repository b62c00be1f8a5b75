import { execFileSync, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Why no etcd can be started here; undefined when it can. */
export function etcdMissing(): string | undefined {
  for (const program of [ETCD, ETCDCTL]) {
    try {
      accessSync(program, constants.X_OK)
    } catch {
      return `${program} is not installed (Debian: apt-get install etcd-server etcd-client)`
    }
  }
  return undefined
}

export interface StartEtcdOptions {
  /** How many members. Default 1. */
  readonly members?: number
  /** Turns users and passwords on; `root` has this password. */
  readonly rootPassword?: string
  /** Serves TLS, and asks clients for a certificate, all made for this test. */
  readonly tls?: boolean
}

/** A real etcd, in a temporary directory, on free ports of the loopback. */
export interface Etcd extends AsyncDisposable {
  readonly endpoints: readonly string[]
  /** PEM, with `tls`. */
  readonly tls: { readonly ca: string; readonly cert: string; readonly key: string } | undefined
  /** Runs etcdctl as root; answers its stdout. */
  ctl(...args: readonly string[]): string
  /** Ends a member at once, as `kill -9` does. */
  kill(member: number): Promise<void>
  /** Starts a killed member with the data that it had. */
  start(member: number): Promise<void>
  /** Stops a member's process without ending it, or lets it go on: it hangs, with its connections open. */
  hang(member: number): void
  resume(member: number): void
}

/** Starts an etcd and waits until every member is healthy. */
export async function startEtcd(options: StartEtcdOptions = {}): Promise<Etcd> {
  const dir = await mkdtemp(join(tmpdir(), 'yard-etcd-'))
  const scheme = options.tls === true ? 'https' : 'http'
  const tls = options.tls === true ? await makeCertificates(dir) : undefined
  const ports = await freePorts(3 * (options.members ?? 1))
  const members = Array.from({ length: options.members ?? 1 }, (_, n) => ({
    name: `m${n}`,
    client: `${scheme}://localhost:${ports[3 * n]}`,
    peer: `http://localhost:${ports[3 * n + 1]}`,
    health: `http://localhost:${ports[3 * n + 2]}`,
  }))
  const running = new Map<number, ReturnType<typeof spawn>>()
  const endpoints = members.map((m) => m.client)

  const start = async (n: number) => {
    const member = members[n]!
    const child = spawn(ETCD, argsOf(dir, member, members, options), { stdio: ['ignore', 'ignore', 'pipe'] })
    running.set(n, child)
    let log = ''
    child.stderr.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4_000)
    })
    await untilHealthy(member.health, () => (child.exitCode === null ? undefined : log))
  }
  const kill = async (n: number) => {
    const child = running.get(n)
    running.delete(n)
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }
  const dispose = async () => {
    process.off('exit', killAll)
    await Promise.all([...running.keys()].map(kill))
    await rm(dir, { recursive: true, force: true })
  }
  const killAll = () => {
    for (const child of running.values()) child.kill('SIGKILL')
  }
  process.on('exit', killAll)

  const ctl = (...args: readonly string[]) => {
    const access = [`--endpoints=${endpoints.join(',')}`]
    if (tls !== undefined) {
      access.push(`--cacert=${dir}/ca.pem`, `--cert=${dir}/client.pem`, `--key=${dir}/client-key.pem`)
    }
    if (authOn) access.push(`--user=root:${options.rootPassword}`)
    return execFileSync(ETCDCTL, [...access, ...args], {
      env: { ETCDCTL_API: '3' },
      stdio: 'pipe',
    }).toString()
  }
  let authOn = false
  try {
    await Promise.all(members.map((_, n) => start(n)))
    if (options.rootPassword !== undefined) {
      ctl('user', 'add', `root:${options.rootPassword}`)
      ctl('user', 'grant-role', 'root', 'root')
      ctl('auth', 'enable')
      authOn = true
    }
  } catch (error) {
    await dispose()
    throw error
  }
  return {
    endpoints,
    tls,
    ctl,
    kill,
    start,
    hang: (n) => void running.get(n)?.kill('SIGSTOP'),
    resume: (n) => void running.get(n)?.kill('SIGCONT'),
    [Symbol.asyncDispose]: dispose,
  }
}

// Another version than the machine's: YARD_TEST_ETCD_DIR is the folder of its programs.
const DIR = process.env.YARD_TEST_ETCD_DIR ?? '/usr/bin'
const ETCD = join(DIR, 'etcd')
const ETCDCTL = join(DIR, 'etcdctl')
const HEALTHY_WITHIN_MS = 30_000

interface Member {
  readonly name: string
  readonly client: string
  readonly peer: string
  readonly health: string
}

function argsOf(
  dir: string,
  member: Member,
  members: readonly Member[],
  options: StartEtcdOptions,
): string[] {
  // A single member elects itself, so it can be quick; this also lowers the least TTL of a lease to one second.
  const timing = members.length === 1 ? ['50', '500'] : ['100', '1000']
  return [
    `--name=${member.name}`,
    `--data-dir=${join(dir, member.name)}`,
    `--listen-client-urls=${member.client.replace('localhost', '127.0.0.1')}`,
    `--advertise-client-urls=${member.client}`,
    `--listen-peer-urls=${member.peer.replace('localhost', '127.0.0.1')}`,
    `--initial-advertise-peer-urls=${member.peer}`,
    `--initial-cluster=${members.map((m) => `${m.name}=${m.peer}`).join(',')}`,
    `--listen-metrics-urls=${member.health.replace('localhost', '127.0.0.1')}`,
    `--heartbeat-interval=${timing[0]}`,
    `--election-timeout=${timing[1]}`,
    ...(options.tls === true
      ? [
          '--client-cert-auth',
          `--trusted-ca-file=${dir}/ca.pem`,
          `--cert-file=${dir}/server.pem`,
          `--key-file=${dir}/server-key.pem`,
        ]
      : []),
  ]
}

async function untilHealthy(url: string, ended: () => string | undefined): Promise<void> {
  const deadlineMs = Date.now() + HEALTHY_WITHIN_MS
  for (;;) {
    const log = ended()
    if (log !== undefined) throw new Error(`etcd ended while it started:\n${log}`)
    const text = await fetch(`${url}/health`).then(
      (response) => response.text(),
      () => '',
    )
    if (text.includes('"health":"true"')) return
    if (Date.now() > deadlineMs)
      throw new Error(`etcd at ${url} was not healthy within ${HEALTHY_WITHIN_MS} ms`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer())
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve, reject) => {
          server.once('error', reject)
          server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
        }),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

async function makeCertificates(dir: string): Promise<{ ca: string; cert: string; key: string }> {
  const openssl = (...args: readonly string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' })
  const request = [
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-noenc',
    '-days',
    '2',
  ]
  openssl(...request, '-keyout', 'ca-key.pem', '-out', 'ca.pem', '-subj', '/CN=test authority')
  const extensions = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  for (const name of ['server', 'client']) {
    openssl(
      ...request,
      ...['-keyout', `${name}-key.pem`, '-out', `${name}.pem`, '-subj', `/CN=${name}`],
      ...['-CA', 'ca.pem', '-CAkey', 'ca-key.pem', '-addext', extensions],
      ...[
        '-addext',
        'extendedKeyUsage=serverAuth,clientAuth',
        '-addext',
        'basicConstraints=critical,CA:FALSE',
      ],
    )
  }
  const read = (name: string) => readFile(join(dir, name), 'utf8')
  const [ca, cert, key] = await Promise.all([read('ca.pem'), read('client.pem'), read('client-key.pem')])
  return { ca, cert, key }
}
