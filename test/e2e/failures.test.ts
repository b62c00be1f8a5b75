import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { Dev, enginePids, freshDir, Running, run, until } from './yard.ts'

/** An engine that misbehaves in the way its first argument says, on the port that its second one gives. */
const PROGRAM = `
import { createServer } from 'node:http'
const [way, port] = process.argv.slice(2)
if (way === 'exits') {
  console.error('fatal: this build has no kernels for anything')
  process.exit(3)
}
if (way === 'stubborn') process.on('SIGTERM', () => console.log('SIGTERM is for others'))
if (way === 'floods') {
  const lines = ('all work and no play '.repeat(200) + '\\n').repeat(256)
  const flood = () => process.stdout.write(lines, () => setImmediate(flood))
  flood()
}
if (way === 'deaf') setInterval(() => {}, 1000)
else {
  createServer((request, response) => {
    request.resume()
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ id: 'x', object: 'text_completion', choices: [{ index: 0, text: way }] }))
  }).listen(Number(port), '127.0.0.1')
}
`

interface ModelLike {
  readonly name: string
  readonly status: { readonly phase: string; readonly readyReplicas: number; readonly reason?: string }
}

interface ReplicaLike {
  readonly name: string
  readonly status?: { readonly phase: string; readonly restarts: number; readonly pid?: number }
}

describe('engines that fail, beside one that does not', () => {
  const dir = freshDir()
  const files = freshDir()
  const program = join(files.path, 'engine.mjs')
  let dev: Dev
  let stopped: { pid: number; answers: Promise<number[]> } | undefined

  const load = (way: string, ...more: readonly string[]) => {
    const asked = ['--name', way, '--memory', '64MiB', '--data-dir', dir.path, ...more]
    return run(['load', `command:${process.execPath}`, ...asked, '--', program, way, '{port}'])
  }
  const events = async () => (await dev.yard(['events'])).stdout
  const model = async (name: string) => {
    const { items } = JSON.parse((await dev.yard(['list', '-o', 'json'])).stdout) as { items: ModelLike[] }
    return items.find((item) => item.name === name)
  }
  const replicas = async (name: string) =>
    (JSON.parse((await dev.yard(['replica', 'list', name, '-o', 'json'])).stdout) as { items: ReplicaLike[] })
      .items
  const ready = (name: string, count = 1) =>
    until(`${name} is ready`, async () => {
      const { phase, readyReplicas } = (await model(name))?.status ?? {}
      return phase === 'ready' && readyReplicas === count
    })
  const ask = async (name: string) =>
    (await dev.ask('/v1/completions', { model: name, prompt: 'once', max_tokens: 4 })).status
  const enginesOf = (name: string) =>
    enginePids(dir.path).filter((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`=${name}\0`))

  beforeAll(async () => {
    writeFileSync(program, PROGRAM)
    dev = await Dev.start(dir.path)
  })

  afterEach(async () => {
    expect(await ask('tiny')).toBe(200)
  })

  afterAll(async () => {
    if (stopped) process.kill(stopped.pid, 'SIGCONT')
    for (const pid of enginesOfWay('stubborn')) process.kill(pid, 'SIGKILL')
    await dev?.[Symbol.asyncDispose]()
    files[Symbol.dispose]()
    dir[Symbol.dispose]()
  })

  it('goes on with the other replica when an engine stands still', async () => {
    expect((await dev.yard(['load', 'sim:pair', '--replicas', '2'])).exitCode).toBe(0)
    const [pid = -1] = enginesOf('pair')
    process.kill(pid, 'SIGSTOP')
    stopped = { pid, answers: Promise.all([...Array(6)].map(() => ask('pair'))) }
  })

  it('tells the last words of an engine that exits at once, and tries again a while', async () => {
    const loaded = await load('exits', '--timeout', '4s')
    expect(loaded.exitCode, loaded.stderr).toBe(7)
    const words =
      'the engine ended with exit code 3; its last line: fatal: this build has no kernels for anything'
    expect(loaded.stderr).toContain(words)
    expect(await events()).toMatch(new RegExp(`replica/exits-\\w+ +restarted .*${words}`))
    expect(
      (await dev.yard(['logs', 'exits'])).stdout + (await dev.yard(['logs', 'exits', '--previous'])).stdout,
    ).toContain('fatal: this build')
    expect((await dev.yard(['unload', 'exits'])).exitCode).toBe(0)
  })

  it('does not try again what can not succeed', async () => {
    const loaded = await dev.yard(['load', 'sim:oom', '--engine-arg', 'startup-fail=oom', '--timeout', '30s'])
    expect(loaded.exitCode, loaded.stderr).toBe(1)
    expect(loaded.stderr).toContain("the device's memory ran out when 2.00 GiB more were wanted")
    expect(loaded.stderr).toMatch(
      /the engine's last lines:[\s\S]*reason: out_of_memory\nhint: see yard logs oom/,
    )
    expect(await events()).toMatch(/warning +model\/oom +out_of_memory +failed: oom-\w+ on/)
    expect((await replicas('oom'))[0]?.status).toMatchObject({ phase: 'failed', restarts: 0 })
  })

  it('says when the program is not there, or may not be run', async () => {
    const absent = await dev.yard([
      'load',
      'command:/nonexistent/engine',
      '--name',
      'absent',
      '--memory',
      '1MiB',
    ])
    expect(absent.exitCode).toBe(1)
    expect(absent.stderr).toMatch(
      /nothing at command:\/nonexistent\/engine on this node[\s\S]*reason: missing_file/,
    )
    const text = await dev.yard(['load', `command:${program}`, '--name', 'text', '--memory', '1MiB'])
    expect(text.exitCode).toBe(1)
    expect(text.stderr).toContain('may not use it; change its permissions')
  })

  it('gives up waiting for an engine that never listens, and ends it', async () => {
    const loaded = await load('deaf', '--timeout', '2s')
    expect(loaded.exitCode, loaded.stderr).toBe(7)
    expect(loaded.stderr).toMatch(
      /"deaf" is not ready yet[\s\S]*hint: it goes on; watch it with: yard status deaf/,
    )
    expect((await dev.yard(['unload', 'deaf'])).exitCode).toBe(0)
    expect(enginesOfWay('deaf')).toEqual([])
  })

  it('ends an engine whose start takes longer than its model allows, and says so', async () => {
    const created = await fetch(`${dev.file.control}/api/v1/models`, {
      method: 'POST',
      headers: { authorization: `Bearer ${dev.key}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        name: 'late',
        spec: {
          source: `command:${process.execPath}`,
          engine: 'command',
          resources: { memoryBytes: 1024 * 1024 },
          command: [program, 'deaf', '{port}'],
          startTimeoutMs: 1_000,
        },
      }),
    })
    expect(created.status, await created.text()).toBe(201)
    await until('it is told', async () =>
      /replica\/late-\w+ +start_timeout .*not ready 1 s after its start; see its logs/.test(await events()),
    )
    expect((await dev.yard(['model', 'delete', 'late'])).exitCode).toBe(0)
    expect(enginesOfWay('deaf')).toEqual([])
  })

  it('bounds the log of an engine that floods it, and kills one that ignores SIGTERM', async () => {
    const loaded = await Promise.all([load('floods'), load('stubborn')])
    expect(loaded.map(({ exitCode }) => exitCode)).toEqual([0, 0])
    const [pid] = enginesOfWay('floods')
    // An engine may write faster than its log is cut for a moment, but not for long.
    await until('the log is a small part of half a gigabyte written', () => {
      const bytes = Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1])
      return bytes > 500_000_000 && bytesUnder(join(dir.path, 'agent', 'logs')) < bytes / 4
    })
    expect(await ask('floods')).toBe(200)
    const unloaded = await dev.yard(['unload', 'floods', 'stubborn'])
    expect(unloaded.exitCode, unloaded.stderr).toBe(0)
    expect([...enginesOfWay('floods'), ...enginesOfWay('stubborn')]).toEqual([])
  })

  it('answers every request while one of two engines is killed, and starts it again', async () => {
    expect((await dev.yard(['load', 'sim:duo', '--replicas', '2'])).exitCode).toBe(0)
    const before = enginesOf('duo')
    let going = true
    const statuses: number[] = []
    const clients = [...Array(4)].map(async () => {
      while (going) statuses.push(await ask('duo'))
    })
    await until('some answers', () => statuses.length > 20)
    process.kill(before[0] ?? -1, 'SIGKILL')
    await until('it is told', async () => /replica\/duo-\w+ +restarted .*SIGKILL/.test(await events()))
    await ready('duo', 2)
    going = false
    await Promise.all(clients)
    expect(statuses.filter((status) => status !== 200)).toEqual([])
    expect(enginesOf('duo')).toHaveLength(2)
    expect(enginesOf('duo')).not.toEqual(before)
    expect((await replicas('duo')).map(({ status }) => status?.restarts).sort()).toEqual([0, 1])
  })

  it('has ended the engine that stood still, started it again, and lost no request', async () => {
    await until('it is told', async () => /replica\/pair-\w+ +unhealthy /.test(await events()))
    expect(await ask('pair')).toBe(200)
    await until(
      'it is started again',
      async () => /replica\/pair-\w+ +restarted .*health checks/.test(await events()),
      90_000,
    )
    await ready('pair', 2)
    expect(enginesOf('pair')).not.toContain(stopped?.pid)
    expect(await stopped?.answers).toEqual([200, 200, 200, 200, 200, 200])
    stopped = undefined
  })

  it('breaks the stream when yard dev is killed, and serves again after the next start', async () => {
    const response = await dev.ask('/v1/completions', {
      model: 'duo',
      prompt: 'go',
      max_tokens: 4_000,
      ignore_eos: true,
      stream: true,
    })
    let text = ''
    const reading = (async () => {
      for await (const bytes of response.body ?? []) text += Buffer.from(bytes).toString()
    })()
    const ended = reading.then(
      () => 'clean',
      () => 'broken',
    )
    await until('the stream has begun', () => text.includes('data: '))
    const mid = new Running(['load', 'sim:mid', '--engine-arg', 'startup-ms=3000', '--data-dir', dir.path])
    await until('mid starts', async () => (await replicas('mid'))[0]?.status?.phase === 'starting')
    await dev.process.kill('SIGKILL')
    expect(await ended, text.slice(-500)).toBe('broken')
    expect(text).not.toContain('[DONE]')
    const loading = await mid.finished
    expect(loading.exitCode, loading.stderr).toBe(8)
    expect(loading.stderr).toMatch(/error: .*\n(reason: .*\n)?hint: /)
    dev = await Dev.start(dir.path)
    await ready('mid')
    await ready('duo', 2)
    expect(await ask('mid')).toBe(200)
  })

  // Known fault: after this file's sequence (an engine was stopped by SIGSTOP, one flooded its log) the next start took
  // every engine for dead and made new replicas on other ports. Alone, and in dev.test.ts, adoption works.
  it.todo('adopts every engine at the start after a kill -9, also after all of the above')

  it('ends at the second Ctrl-C at once, and the next start has everything', async () => {
    expect((await load('stubborn')).exitCode).toBe(0)
    dev.process.child.kill('SIGINT')
    await until('it says that it stops', () => dev.process.stderr.includes('stopping: requests end first'))
    const { exitCode, stderr } = await dev.process.kill('SIGINT')
    expect(exitCode).toBe(130)
    expect(stderr).toContain('killed; engines that still run are adopted by the next start')
    dev = await Dev.start(dir.path)
    for (const [name, count] of [
      ['stubborn', 1],
      ['duo', 2],
      ['mid', 1],
    ] as const)
      await ready(name, count)
    expect(enginesOfWay('stubborn')).toHaveLength(1)
  })

  function enginesOfWay(way: string): readonly number[] {
    return enginePids(dir.path).filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(`\0${way}\0`),
    )
  }
})

function bytesUnder(path: string): number {
  return (readdirSync(path, { recursive: true }) as string[])
    .map((name) => statSync(join(path, name), { throwIfNoEntry: false }))
    .reduce((bytes, found) => bytes + (found?.isFile() ? found.size : 0), 0)
}
