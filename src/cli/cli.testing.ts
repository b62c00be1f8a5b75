import { FakeClock } from '../base/fake-clock.ts'
import type { Fetch } from '../base/fetch.ts'
import { runYard } from './run.ts'
import type { LineReader, World } from './world.ts'

export interface Ran {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunWith {
  readonly fetch?: Fetch
  readonly env?: Readonly<Record<string, string>>
  readonly stdin?: string
  readonly files?: Readonly<Record<string, string>>
  /** Lines typed at a terminal; makes stdin one. */
  readonly typed?: readonly string[]
}

/** Runs one command line in process, against a fake network and file system, with time that flies. */
export async function runInProcess(line: readonly string[], given: RunWith = {}): Promise<Ran> {
  const out: string[] = []
  const err: string[] = []
  const clock = new FakeClock()
  const typed = [...(given.typed ?? [])]
  const reader: LineReader = { ask: async () => typed.shift(), close: () => {} }
  const world: World = {
    clock,
    env: {
      YARD_SERVER: 'http://control.test',
      YARD_TOKEN: 'secret-token',
      YARD_GATEWAY: 'http://gateway.test',
      ...given.env,
    },
    stdout: { write: (text) => void out.push(text), isTty: false, columns: 100 },
    stderr: { write: (text) => void err.push(text), isTty: false, columns: 100 },
    stdinIsTty: given.typed !== undefined,
    readStdin: async () => given.stdin ?? '',
    openLineReader: () => reader,
    fetch: given.fetch ?? (() => Promise.reject(new TypeError('no network here'))),
    readFile: async (path) => given.files?.[path],
    absolutePath: (path) => (path.startsWith('/') ? path : `/work/${path.replace(/^\.\//, '')}`),
    onInterrupt: () => () => {},
    homeDir: '/home/user',
  }
  let done = false
  const run = runYard(line, { world, version: '0.0.0-test', more: [] }).finally(() => {
    done = true
  })
  while (!done) await clock.advance(100)
  return { exitCode: await run, stdout: out.join(''), stderr: err.join('') }
}

/** A server from a table of `METHOD /path` → JSON or a function; anything else answers 404 in our envelope. */
export function fakeServer(
  routes: Readonly<Record<string, unknown>>,
): Fetch & { readonly calls: { path: string; body: unknown; token: string | null }[] } {
  const calls: { path: string; body: unknown; token: string | null }[] = []
  const fetch: Fetch = async (request) => {
    const url = new URL(request.url)
    const path = `${request.method} ${url.pathname}`
    const text = await request.text()
    calls.push({
      path,
      body: text === '' ? undefined : JSON.parse(text),
      token: request.headers.get('authorization'),
    })
    const route = routes[path]
    if (route instanceof Response) return route.clone()
    if (typeof route === 'function') return (route as (body: unknown) => Response)(calls.at(-1)?.body)
    if (route === undefined) return fault(404, 'not_found', `nothing at ${url.pathname}`)
    return Response.json(route)
  }
  return Object.assign(fetch, { calls })
}

/** An error answer in the control API's envelope. */
export function fault(status: number, code: string, message: string): Response {
  return Response.json({ error: { code, message, requestId: 'req-1' } }, { status })
}

/** A model as the API gives it. */
export function aModel(
  name: string,
  more: {
    phase?: string
    replicas?: number
    ready?: number
    reason?: string
    message?: string
    rejections?: unknown[]
  } = {},
) {
  const replicas = more.replicas ?? 1
  return {
    kind: 'Model',
    name,
    resourceVersion: '7',
    labels: {},
    generation: 1,
    createdAtMs: 1_700_000_000_000,
    spec: {
      source: 'builtin:tiny',
      engine: 'llama',
      replicas,
      adapters: [],
      resources: {},
      engineArgs: {},
      nodeSelector: {},
      strategy: 'spread',
      priority: 0,
      startTimeoutMs: 600_000,
      drainTimeoutMs: 60_000,
    },
    status: {
      name,
      observedGeneration: 1,
      phase: more.phase ?? 'ready',
      desiredReplicas: replicas,
      readyReplicas: more.ready ?? (more.phase === undefined || more.phase === 'ready' ? replicas : 0),
      updatedReplicas: replicas,
      ...(more.reason === undefined ? {} : { reason: more.reason }),
      ...(more.message === undefined ? {} : { message: more.message }),
      rejections: more.rejections ?? [],
    },
  }
}
