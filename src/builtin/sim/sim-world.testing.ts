import { FakeClock } from '../../base/fake-clock.ts'
import { createSimEngine, type SimEngineDeps } from './sim-engine.ts'
import { type SimOptions, simOptions } from './sim-options.ts'
import { profileByName } from './step-time.ts'

/** 10 ms a step, whatever it computes. */
export const TEN_MS = profileByName('constant:10')!

/** An engine on a fake clock, called in-process. */
export function aSim(overrides: Partial<SimOptions> = {}, deps: Partial<SimEngineDeps> = {}) {
  const clock = new FakeClock()
  const engine = createSimEngine(
    simOptions({
      model: 'demo',
      profile: TEN_MS,
      numGpuBlocksOverride: 256,
      maxModelLen: 2048,
      ...overrides,
    }),
    { clock, ...deps },
  )
  const call = (
    method: string,
    path: string,
    init: { body?: unknown; headers?: Record<string, string>; signal?: AbortSignal } = {},
  ) =>
    engine.fetch(
      new Request(`http://sim${path}`, {
        method,
        headers: { 'content-type': 'application/json', ...init.headers },
        ...(init.body === undefined
          ? {}
          : { body: typeof init.body === 'string' ? init.body : JSON.stringify(init.body) }),
        ...(init.signal ? { signal: init.signal } : {}),
      }),
    )
  const post = (
    path: string,
    body: unknown,
    init: { headers?: Record<string, string>; signal?: AbortSignal } = {},
  ) => call('POST', path, { ...init, body })
  const get = (path: string, headers: Record<string, string> = {}) => call('GET', path, { headers })
  /** Lets time pass until the promise settles; gives up after ten minutes of fake time. */
  const run = async <Value>(promise: Promise<Value>): Promise<Value> => {
    let settled = false
    const done = promise.finally(() => {
      settled = true
    })
    done.catch(() => {})
    for (let turn = 0; turn < 600 && !settled; turn++) await clock.advance(turn < 100 ? 10 : 1000)
    if (!settled) throw new Error('still pending after ten minutes of fake time')
    return done
  }
  const json = async (promise: Promise<Response>) => {
    const response = await run(promise)
    return { status: response.status, body: JSON.parse(await run(response.text())) }
  }
  const text = async (promise: Promise<Response>) => run((await run(promise)).text())
  const chat = (body: Record<string, unknown> = {}) =>
    post('/v1/chat/completions', { model: 'demo', messages: [user('hello there')], ...body })
  const metric = async (name: string) => samples(await text(get('/metrics'))).get(name)
  return { clock, engine, call, post, get, run, json, text, chat, metric }
}

export function user(content: string) {
  return { role: 'user', content }
}

/** The `data:` payloads of a stream, parsed, with `[DONE]` as it is. */
export function events(body: string) {
  return body
    .split('\n\n')
    .filter((event) => event !== '')
    .map((event) => event.replace(/^data: /, ''))
    .map((data) => (data === '[DONE]' ? data : JSON.parse(data)))
}

/** What came before a stream broke, and the error it broke with. */
export async function readUntilBroken(response: Response): Promise<{ body: string; error: unknown }> {
  const decoder = new TextDecoder()
  let body = ''
  try {
    for await (const piece of response.body!) body += decoder.decode(piece, { stream: true })
    return { body, error: undefined }
  } catch (error) {
    return { body, error }
  }
}

/** Values of a metrics page by sample, with its labels as printed. */
export function samples(page: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const line of page.split('\n')) {
    if (line === '' || line.startsWith('#')) continue
    const at = line.lastIndexOf(' ')
    const value = line.slice(at + 1)
    found.set(line.slice(0, at), value === '+Inf' ? Number.POSITIVE_INFINITY : Number(value))
  }
  return found
}
