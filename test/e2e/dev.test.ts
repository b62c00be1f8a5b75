import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Dev, enginePids, freshDir, run, until, YARD } from './yard.ts'

describe('yard dev', () => {
  const dir = freshDir()
  let dev: Dev

  beforeAll(async () => {
    dev = await Dev.start(dir.path)
  })

  afterAll(async () => {
    await dev?.[Symbol.asyncDispose]()
    dir[Symbol.dispose]()
  })

  it('leaves dev.json and the admin key readable by its owner only', () => {
    expect(statSync(join(dir.path, 'dev.json')).mode & 0o777).toBe(0o600)
    expect(statSync(dev.file.adminKeyFile).mode & 0o777).toBe(0o600)
    expect(dev.file).toMatchObject({
      gateway: expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+$/),
      control: expect.stringMatching(/^http:/),
      pid: dev.process.pid,
    })
  })

  it('prints URLs, the key once and a curl line that works when pasted', async () => {
    const line = await until(
      'the curl line',
      () => /curl [\s\S]*?(?=\n\n|\n {2}\S|$)/.exec(dev.process.stdout + dev.process.stderr)?.[0],
    )
    expect(dev.process.stdout + dev.process.stderr).toContain(dev.key)
    const { execFileSync } = await import('node:child_process')
    const answer = JSON.parse(
      execFileSync('/bin/sh', ['-c', line], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
    ) as { choices: unknown[] }
    expect(answer.choices).toHaveLength(1)
  })

  it('answers a chat through the gateway on the real engine, with usage', async () => {
    const response = await dev.ask('/v1/chat/completions', {
      model: 'tiny',
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 8,
      temperature: 0,
    })
    expect(response.status).toBe(200)
    const body = (await response.json()) as {
      model: string
      usage: Record<string, number>
      choices: { message: { content: string }; finish_reason: string }[]
    }
    expect(body.model).toBe('tiny')
    expect(body.usage.completion_tokens).toBeGreaterThan(0)
    expect(body.usage.completion_tokens).toBeLessThanOrEqual(8)
    expect(['stop', 'length']).toContain(body.choices[0]?.finish_reason)
  })

  it('streams server-sent events that end with [DONE]', async () => {
    const response = await dev.ask('/v1/chat/completions', {
      model: 'tiny',
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 5,
      stream: true,
    })
    expect(response.headers.get('content-type')).toContain('text/event-stream')
    const text = await response.text()
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true)
    expect(text).toContain('"finish_reason":"')
  })

  it('serves completions and lists models by the same key', async () => {
    const completion = await dev.ask('/v1/completions', { model: 'tiny', prompt: 'a', max_tokens: 3 })
    expect(completion.status).toBe(200)
    const models = (await (
      await fetch(`${dev.file.gateway}/v1/models`, { headers: { authorization: `Bearer ${dev.key}` } })
    ).json()) as { data: { id: string }[] }
    expect(models.data.map((model) => model.id)).toContain('tiny')
  })

  it('refuses everything but health without a key', async () => {
    for (const url of [
      `${dev.file.gateway}/v1/models`,
      `${dev.file.gateway}/metrics`,
      `${dev.file.control}/api/v1/models`,
      `${dev.file.control}/metrics`,
    ]) {
      expect((await fetch(url)).status, url).toBe(401)
    }
    expect((await fetch(`${dev.file.control}/healthz`)).status).toBe(200)
    expect((await fetch(`${dev.file.gateway}/healthz`)).status).toBe(200)
    expect((await fetch(`${dev.file.control}/readyz`)).status).toBe(200)
  })

  it('loads the embedding model and embeds lines', async () => {
    expect((await dev.yard(['load', 'builtin:tiny-embed'])).exitCode).toBe(0)
    const { stdout } = await dev.yard(['embed', 'tiny-embed'], 'one\ntwo\n')
    const vectors = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as number[])
    expect(vectors).toHaveLength(2)
    expect(vectors[0]?.length).toBeGreaterThan(8)
    expect(vectors[0]).not.toEqual(vectors[1])
  })

  it('serves a LoRA under its own name, and it changes the answer', async () => {
    const loaded = await dev.yard([
      'load',
      'builtin:tiny',
      '--name',
      'styled',
      '--adapter',
      'pirate=builtin:tiny-lora',
    ])
    expect(loaded.exitCode, loaded.stderr).toBe(0)
    const say = async (model: string) =>
      (await dev.yard(['chat', model, 'hello', '--temperature', '0', '--max-tokens', '12'])).stdout
    const adapted = await until('the adapter serves', async () => {
      const text = await say('pirate')
      return text !== '' && text
    })
    expect(adapted).not.toBe(await say('styled'))
  })

  it('runs any GGUF file under a name', async () => {
    const { buildTiny } = await import('../../src/engines/tiny/build.ts')
    const { writeFileSync } = await import('node:fs')
    const path = join(dir.path, 'my model.gguf')
    writeFileSync(path, buildTiny('tiny'))
    const loaded = await dev.yard(['load', `file:${path}`, '--name', 'mine'])
    expect(loaded.exitCode, loaded.stderr).toBe(0)
    expect((await dev.yard(['chat', 'mine', 'hi', '--max-tokens', '3'])).exitCode).toBe(0)
  })

  it('scales up and down, and leaves nothing behind after unload', async () => {
    expect((await dev.yard(['scale', 'mine', '2'])).exitCode).toBe(0)
    const replicas = JSON.parse((await dev.yard(['replica', 'list', 'mine', '-o', 'json'])).stdout) as {
      items: unknown[]
    }
    expect(replicas.items).toHaveLength(2)
    expect((await dev.yard(['scale', 'mine', '1'])).exitCode).toBe(0)
    expect((await dev.yard(['unload', 'mine'])).exitCode).toBe(0)
    const after = JSON.parse((await dev.yard(['replica', 'list', 'mine', '-o', 'json'])).stdout) as {
      items: unknown[]
    }
    expect(after.items).toHaveLength(0)
    expect((await dev.yard(['load', 'mine'])).exitCode).toBe(0)
    expect((await dev.yard(['model', 'delete', 'mine'])).exitCode).toBe(0)
    expect((await dev.yard(['status', 'mine'])).exitCode).toBe(3)
  })

  it('keeps what is typed at a terminal while it answers', async () => {
    // Debian's `script` gives the program a terminal of its own.
    const { spawn } = await import('node:child_process')
    const command = `${process.execPath} ${YARD} chat tiny --data-dir ${dir.path}`
    const child = spawn('/usr/bin/script', ['-qec', command, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    let seen = ''
    child.stdout.on('data', (bytes: Buffer) => {
      seen += bytes.toString('utf8')
    })
    await until('the prompt', () => seen.includes('>>> '))
    child.stdin.write('hello\r/set seed 7\r/show\r/bye\r')
    const exitCode = await new Promise((done) => child.once('close', done))
    expect(exitCode).toBe(0)
    expect(seen).toContain('Seed 7.')
    expect(seen).toMatch(/"messages": 2/)
  })

  it('shows logs of the engine and events of the model', async () => {
    const logs = await dev.yard(['logs', 'tiny'])
    expect([logs.exitCode, logs.stdout.length > 0]).toEqual([0, true])
    const events = await dev.yard(['events', '--for', 'model/tiny'])
    expect(events.stdout).toContain('model/tiny')
  })

  it('says who asks and what runs', async () => {
    expect((await dev.yard(['whoami'])).stdout).toContain('manage')
    expect((await dev.yard(['version'])).stdout).toMatch(/server {2}\d/)
    expect((await dev.yard(['node', 'list'])).stdout).toContain('ready')
    expect((await dev.yard(['status'])).stdout).toContain('Gateway:')
  })

  it('keeps the keys of inference away from the control API', async () => {
    const { stdout } = await dev.yard(['key', 'create', '--name', 'ci', '--model', 'tiny', '-q'])
    const key = stdout.trim()
    expect(
      (await fetch(`${dev.file.control}/api/v1/models`, { headers: { authorization: `Bearer ${key}` } }))
        .status,
    ).toBe(403)
    const headers = { authorization: `Bearer ${key}` }
    await until(
      'the gateway knows the key',
      async () =>
        (await dev.ask('/v1/completions', { model: 'tiny', prompt: 'a', max_tokens: 1 }, { headers }))
          .status === 200,
    )
    expect((await dev.ask('/v1/embeddings', { model: 'tiny-embed', input: 'a' }, { headers })).status).toBe(
      403,
    )
  })

  it('never writes a key into a log', async () => {
    const { readdirSync } = await import('node:fs')
    const secret = dev.key.split('_')[2] ?? 'no secret'
    const logs = (readdirSync(dir.path, { recursive: true }) as string[]).filter((path) =>
      path.endsWith('.log'),
    )
    expect(logs.length).toBeGreaterThan(0)
    for (const path of logs) expect(readFileSync(join(dir.path, path), 'utf8')).not.toContain(secret)
  })

  it('adopts its engines after kill -9, with everything it had', async () => {
    const before = [...enginePids(dir.path)].sort()
    expect(before.length).toBeGreaterThan(0)
    await dev.process.kill('SIGKILL')
    expect([...enginePids(dir.path)].sort()).toEqual(before)
    dev = await Dev.start(dir.path)
    const models = (await dev.yard(['list', '-o', 'name'])).stdout.trim().split('\n').sort()
    expect(models).toEqual(['styled', 'tiny', 'tiny-embed'])
    await until('all ready again', async () => {
      const { items } = JSON.parse((await dev.yard(['list', '-o', 'json'])).stdout) as {
        items: { status: { phase: string } }[]
      }
      return items.every((model) => model.status.phase === 'ready')
    })
    expect([...enginePids(dir.path)].sort(), (await dev.yard(['events'])).stdout).toEqual(before)
    expect((await dev.ask('/v1/completions', { model: 'tiny', prompt: 'a', max_tokens: 1 })).status).toBe(200)
  })

  it('ends its engines on Ctrl-C and has everything at the next start', async () => {
    const { exitCode } = await dev.process.kill('SIGINT')
    expect(exitCode).toBe(0)
    expect(enginePids(dir.path)).toEqual([])
    dev = await Dev.start(dir.path)
    expect((await dev.yard(['list', '-o', 'name'])).stdout.trim().split('\n').sort()).toEqual([
      'styled',
      'tiny',
      'tiny-embed',
    ])
  })
})

describe('the program', () => {
  it('shows help quickly enough to be asked often', async () => {
    const { exitCode, stdout } = await run(['--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toContain('yard dev')
  })
})
