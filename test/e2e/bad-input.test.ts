import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { buildTiny } from '../../src/engines/tiny/build.ts'
import { Dev, enginePids, freshDir, Running, run, until } from './yard.ts'

const UP_AT_ONCE = ['--gateway-port', '0', '--control-port', '0', '--agent-port', '0', '--no-model']

describe('bad input, while a healthy model goes on answering', () => {
  const dir = freshDir()
  const files = freshDir()
  let dev: Dev
  let engines: readonly number[] = []

  beforeAll(async () => {
    dev = await Dev.start(dir.path)
    engines = enginePids(dir.path)
    const tiny = buildTiny('tiny')
    writeFileSync(join(files.path, 'whole.gguf'), tiny)
    writeFileSync(join(files.path, 'half.gguf'), tiny.subarray(0, tiny.length / 2))
    writeFileSync(join(files.path, 'head.gguf'), tiny.subarray(0, 1_000))
    writeFileSync(join(files.path, 'text.gguf'), 'not a model\n'.repeat(1_000))
    writeFileSync(join(files.path, 'empty.gguf'), '')
    writeFileSync(join(files.path, 'lora.gguf'), buildTiny('tiny-lora'))
    mkdirSync(join(files.path, 'directory.gguf'))
  })

  afterEach(async () => {
    const answer = await dev.ask('/v1/completions', { model: 'tiny', prompt: 'a', max_tokens: 1 })
    expect(answer.status).toBe(200)
    expect(enginePids(dir.path)).toEqual(expect.arrayContaining([...engines]))
  })

  afterAll(async () => {
    await dev?.[Symbol.asyncDispose]()
    files[Symbol.dispose]()
    dir[Symbol.dispose]()
  })

  const later = () => join(files.path, 'later.gguf')

  it('fails for a file cut in half, which is then put right', async () => {
    writeFileSync(later(), readFileSync(join(files.path, 'half.gguf')))
    expect((await dev.yard(['load', later()])).exitCode).toBe(1)
    writeFileSync(later(), readFileSync(join(files.path, 'whole.gguf')))
  })

  it.each([
    ['half.gguf', 'source_invalid', /has \d+ bytes but its tensors need \d+; copy or download it again/],
    ['head.gguf', 'source_invalid', /ends within its header, after 1000 bytes/],
    ['text.gguf', 'source_invalid', /does not begin with "GGUF"/],
    ['empty.gguf', 'source_invalid', /does not begin with "GGUF"/],
    ['directory.gguf', 'source_invalid', /holds no config\.json; give the directory of a model, or a \.gguf/],
    ['absent.gguf', 'source_missing', /absent\.gguf is not on \S+; put it there, at the same path/],
  ])('says what is wrong with %s, in an event too', async (file, reason, message) => {
    const name = file.replace('.gguf', '')
    const loaded = await dev.yard(['load', join(files.path, file), '--timeout', '30s'])
    expect(loaded.exitCode, loaded.stderr).toBe(1)
    expect(loaded.stderr).toMatch(message)
    expect(loaded.stderr).toContain(`reason: ${reason}\nhint: put it right and it starts by itself`)
    expect((await dev.yard(['events', '--for', `model/${name}`])).stdout).toMatch(message)
    expect((await dev.yard(['list'])).stdout).toMatch(new RegExp(`${name} .*failed \\(${reason}\\)`))
    expect((await dev.yard(['model', 'delete', name])).exitCode).toBe(0)
  })

  it('serves no adapter as a model', async () => {
    const loaded = await dev.yard(['load', join(files.path, 'lora.gguf'), '--timeout', '30s'])
    expect(loaded.exitCode, loaded.stderr).toBe(1)
    expect(loaded.stderr).toMatch(/lora\.gguf is not a model that can be served alone; load its base model/)
    expect((await dev.yard(['model', 'delete', 'lora'])).exitCode).toBe(0)
  })

  it.each<[number, RegExp, readonly string[]]>([
    [2, /is an adapter; serve builtin:tiny with it/, ['load', 'builtin:tiny-lora']],
    [2, /no built-in model "nope"; there are tiny, tiny-embed, tiny-lora/, ['load', 'builtin:nope']],
    [2, /unknown scheme "nope:"; use builtin:, file:, hf:/, ['load', 'nope:x']],
    [2, /no engine "lama"[\s\S]*engines: vllm, sglang/, ['load', 'builtin:tiny', '--engine', 'lama']],
    [
      2,
      /llama can't serve sim:x; it takes builtin:tiny, file:\/path/,
      ['load', 'sim:x', '--engine', 'llama'],
    ],
    [
      2,
      /did you mean --max-num-seqs|did you mean --max-num-batched-tokens\?/,
      ['load', 'sim:x', '--engine-arg', 'max-num-batched-token=4'],
    ],
    [2, /sim has no --frobnicate/, ['load', 'sim:x', '--engine-arg', 'frobnicate=4']],
    [
      2,
      /"Bad Name" can't be a name[\s\S]*hint: give one with --name/,
      ['load', 'builtin:tiny', '--name', 'Bad Name'],
    ],
    [
      2,
      /--replicas takes a whole number from 0 to 1000, not "many"/,
      ['load', 'builtin:tiny', '--replicas', 'many'],
    ],
    [
      2,
      /--memory does not understand "lots"[\s\S]*hint: write a size/,
      ['load', 'builtin:tiny', '--memory', 'lots'],
    ],
    [2, /unknown option '--frobnicate'/, ['load', 'builtin:tiny', '--frobnicate']],
    [2, /unknown command 'laod'[\s\S]*load/, ['laod', 'builtin:tiny']],
    [2, /-o takes table, wide, json/, ['list', '-o', 'xml']],
    [2, /from 0 to 1000, not "-1"/, ['scale', 'tiny', '-1']],
    [2, /does not serve embeddings/, ['embed', 'tiny', 'hello']],
    [
      6,
      /"tiny" exists with another source[\s\S]*reason: template_differs[\s\S]*yard model delete tiny/,
      ['load', 'builtin:tiny', '--context', '64'],
    ],
    [3, /there is no model "nobody"[\s\S]*hint: see yard list/, ['load', 'nobody']],
    [3, /there is no model "nobody"/, ['unload', 'nobody']],
    [3, /there is no model "nobody"/, ['scale', 'nobody', '2']],
    [3, /there is no model "nobody"/, ['status', 'nobody']],
    [3, /there is no model "nobody"/, ['model', 'delete', 'nobody']],
    [3, /no replica of "nobody"/, ['logs', 'nobody']],
    [3, /"nobody" does not exist[\s\S]*hint: see what is loaded: yard list/, ['chat', 'nobody', 'hi']],
    [3, /there is no replica "nobody"/, ['replica', 'drain', 'nobody']],
    [3, /there is no node "nobody"/, ['node', 'cordon', 'nobody']],
    [3, /there is no key "nobody"/, ['key', 'revoke', 'nobody']],
    [4, /not valid here/, ['list', '--token-file', '-']],
    [8, /hint: /, ['list', '--server', 'http://127.0.0.1:1', '--token-file', '-']],
    [8, /hint: /, ['chat', 'tiny', '--gateway', 'http://127.0.0.1:1']],
  ])('exits %d saying %s', async (exitCode, message, args) => {
    const ended = await dev.yard(args, args.includes('-') ? 'yk_none_none' : 'hello')
    expect(ended.stderr).toMatch(message)
    expect([ended.exitCode, ended.stdout]).toEqual([exitCode, ''])
    expect(ended.stderr).not.toContain('this is a bug')
  })

  it('exits 10 when the size is not known, and says how to state it', async () => {
    const loaded = await dev.yard(['load', 'hf:org/name', '--timeout', '30s'])
    expect(loaded.exitCode, loaded.stderr).toBe(10)
    expect(loaded.stderr).toContain('the size of hf:org/name is not known yet')
    expect(loaded.stderr).toContain(
      'reason: footprint_unknown\nhint: yard model delete name, then load it again',
    )
    expect((await dev.yard(['model', 'delete', 'name'])).exitCode).toBe(0)
  })

  it('exits 10 with the table when nothing fits, and leaves it pending', async () => {
    const loaded = await dev.yard(['load', 'sim:huge', '--memory', '900GiB', '--timeout', '30s'])
    expect(loaded.exitCode, loaded.stderr).toBe(10)
    expect(loaded.stderr).toMatch(/NODE +DEVICE +REASON +NEED +HAVE +WHY\n\S+ +cpu +host_memory +900 GiB/)
    expect((await dev.yard(['status', 'huge'])).stdout).toContain('pending')
    expect((await dev.yard(['model', 'delete', 'huge'])).exitCode).toBe(0)
  })

  const bodyOf = (text: string) =>
    text === '34 MiB' ? `{"model":"tiny","prompt":"${'a'.repeat(34 * 1024 * 1024)}"}` : text
  const post = (body: string, headers: Record<string, string> = {}) => ({
    method: 'POST',
    body,
    headers: { authorization: `Bearer ${dev.key}`, 'content-type': 'application/json', ...headers },
  })
  const answerOf = async (url: string, init: RequestInit) => {
    const response = await fetch(url, init)
    const { error } = (await response.json()) as { error: { code: string; message: string } }
    return { status: response.status, code: error.code, message: error.message, headers: response.headers }
  }

  it.each<[string, number, string, RegExp]>([
    ['{"model":"nope","messages":[]}', 404, 'model_not_found', /"nope" does not exist/],
    ['{"model":"tiny","messages":[', 400, 'invalid_json', /at byte 28/],
    ['[]', 400, 'invalid_json', /no JSON object/],
    ['', 400, 'invalid_json', /no JSON object/],
    ['{}', 400, 'missing_field', /model is required/],
    ['{"model":5}', 400, 'invalid_value', /model must be/],
    ['{"model":"tiny","messages":"hello"}', 400, 'invalid_value', /"messages" must be a list/],
    ['34 MiB', 413, 'request_too_large', /larger than \d+ bytes/],
  ])('the gateway answers the body %j', async (body, status, code, message) => {
    const answer = await answerOf(`${dev.file.gateway}/v1/chat/completions`, post(bodyOf(body)))
    expect(answer).toMatchObject({ status, code, message: expect.stringMatching(message) })
  })

  it('the gateway tells no key, a wrong key and a key for another model apart from a missing model', async () => {
    const body = '{"model":"tiny","messages":[{"role":"user","content":"a"}]}'
    const url = `${dev.file.gateway}/v1/chat/completions`
    for (const authorization of [
      '',
      'Bearer yk_wrong_wrong',
      'Basic YTpi',
      `Bearer ${dev.key.slice(0, -1)}`,
    ]) {
      const answer = await answerOf(url, post(body, { authorization }))
      expect(answer, authorization).toMatchObject({ status: 401, code: 'invalid_api_key' })
    }
    const made = await dev.yard(['key', 'create', '--name', 'other', '--model', 'other', '-q'])
    const authorization = `Bearer ${made.stdout.trim()}`
    let answer = await answerOf(url, post(body, { authorization }))
    for (let tries = 0; answer.status === 401 && tries < 100; tries++)
      answer = await answerOf(url, post(body, { authorization }))
    expect(answer.status, answer.message).toBe(403)
  })

  it('both APIs name what a path takes', async () => {
    const { gateway, control } = dev.file
    const headers = { authorization: `Bearer ${dev.key}` }
    const wrong = await answerOf(`${gateway}/v1/chat/completions`, { headers })
    expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'POST'])
    const control405 = await answerOf(`${control}/api/v1/models`, { method: 'DELETE', headers })
    expect([control405.status, control405.headers.get('allow')]).toEqual([405, 'GET, POST'])
    expect(await answerOf(`${gateway}/v1/nope`, { headers })).toMatchObject({
      status: 404,
      code: 'unknown_url',
    })
    expect(await answerOf(`${control}/api/v1/nope`, { headers })).toMatchObject({
      status: 404,
      code: 'not_found',
    })
  })

  it.each<[string, number, string, RegExp]>([
    [
      '{"name":"q","spec":{"source":"builtin:tiny","engine":"llama","replica":2}}',
      400,
      'unknown_field',
      /no field spec\.replica/,
    ],
    ['{"name":"q","spec":{"source":"builtin:tiny","engine":"lama"}}', 400, 'invalid_request', /spec\.engine/],
    [
      '{"name":"q","spec":{"source":"nope:x","engine":"llama"}}',
      400,
      'invalid_request',
      /unknown scheme "nope:"/,
    ],
    ['{"name":"../q","spec":{"source":"builtin:tiny","engine":"llama"}}', 400, 'invalid_request', /name/],
    ['{"name":"q",', 400, 'invalid_json', /line 1, column 13/],
    ['', 400, 'invalid_json', /empty/],
    ['34 MiB', 413, 'too_large', /larger than \d+ bytes/],
  ])('the control API answers the body %j', async (body, status, code, message) => {
    const answer = await answerOf(`${dev.file.control}/api/v1/models`, post(bodyOf(body)))
    expect(answer).toMatchObject({ status, code, message: expect.stringMatching(message) })
  })

  it('both ports survive bytes that are no HTTP', async () => {
    for (const url of [dev.file.gateway, dev.file.control]) {
      const socket = connect(Number(new URL(url).port), '127.0.0.1')
      const ended = new Promise((done) => socket.once('close', done).on('error', () => {}))
      let text = ''
      socket.on('data', (bytes) => {
        text += bytes.toString()
      })
      socket.write('\x16\x03\x01 this is not HTTP\r\n\r\n')
      await ended
      expect(text, url).toMatch(/^HTTP\/1\.1 400/)
    }
  })

  it('a second yard dev on the same directory names the first, which goes on', async () => {
    const second = await run(['dev', '--data-dir', dir.path, ...UP_AT_ONCE])
    expect(second.exitCode).toBe(1)
    expect(second.stderr).toContain(`is in use by the process with pid ${dev.process.pid}`)
    expect(dev.file.pid).toBe(dev.process.pid)
  })

  it('has started the model whose file was put right, without being told', async () => {
    await until('later is ready', async () => {
      const { status } = JSON.parse((await dev.yard(['status', 'later', '-o', 'json'])).stdout) as {
        status: { phase: string }
      }
      return status.phase === 'ready'
    })
    engines = enginePids(dir.path)
  })

  it.each(['gateway', 'control', 'agent'])(
    'a %s port in use is told with its flag, and nothing is made',
    async (part) => {
      using fresh = freshDir()
      const data = join(fresh.path, 'data')
      const port = new URL(dev.file.gateway).port
      const ports = UP_AT_ONCE.map((word, at) => (UP_AT_ONCE[at - 1] === `--${part}-port` ? port : word))
      const started = await run(['dev', '--data-dir', data, ...ports])
      expect(started.exitCode, started.stderr).toBe(1)
      expect(started.stderr).toContain(`127.0.0.1:${port} is in use by another program`)
      expect(started.stderr).toContain(`hint: stop it, or choose another port with --${part}-port`)
      expect(existsSync(join(data, 'store'))).toBe(false)
      expect(existsSync(join(data, 'agent'))).toBe(false)
    },
  )
})

describe('a start that can not be', () => {
  const dir = freshDir()
  afterAll(() => dir[Symbol.dispose]())

  it.each<[readonly string[], RegExp]>([
    [['--gateway-port', '99999'], /--gateway-port takes a port, not "99999"/],
    [
      ['--engine-ports', '5-3'],
      /--engine-ports takes first-last[\s\S]*for example --engine-ports 20000-20999/,
    ],
    [['--config', '/nonexistent.yaml'], /\/nonexistent\.yaml can't be read/],
    [['words'], /too many arguments/],
  ])('is refused before it touches anything: %j', async (args, message) => {
    const data = join(dir.path, 'untouched')
    const started = await run(['dev', '--data-dir', data, ...args])
    expect([started.exitCode, started.stdout]).toEqual([2, ''])
    expect(started.stderr).toMatch(message)
    expect(existsSync(data)).toBe(false)
  })

  it('names the setting of a configuration file that does not exist', async () => {
    const config = join(dir.path, 'yard.yaml')
    writeFileSync(config, 'gateway-prot: 7700\n')
    const started = await run(['dev', '--data-dir', join(dir.path, 'configured'), '--config', config])
    expect(started.exitCode).toBe(2)
    expect(started.stderr).toContain('there is no setting "gateway-prot"')
  })

  it('says that a data directory below a file is none', async () => {
    const file = join(dir.path, 'file')
    writeFileSync(file, '')
    const started = await run(['dev', '--data-dir', join(file, 'data'), ...UP_AT_ONCE])
    expect(started.exitCode).toBe(1)
    expect(started.stderr).toMatch(/data directory \S+file\/data can't be used: ENOTDIR[\s\S]*--data-dir/)
  })

  it.skipIf(process.getuid?.() !== 0)('says that this user may not write in a data directory', async () => {
    const data = freshDir()
    const nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups']
    const started = await new Running(['dev', '--data-dir', data.path, ...UP_AT_ONCE], {}, '', nobody)
      .finished
    data[Symbol.dispose]()
    expect(started.exitCode).toBe(1)
    expect(started.stderr).toMatch(/can't be used: EACCES[\s\S]*hint: make it writable for this user/)
  })

  it('leaves the state of a newer version as it is', async () => {
    const data = join(dir.path, 'newer')
    mkdirSync(join(data, 'store'), { recursive: true })
    writeFileSync(join(data, 'store', 'v9-000001.journal'), 'of the future')
    const started = await run(['dev', '--data-dir', data, ...UP_AT_ONCE])
    expect(started.exitCode).toBe(1)
    expect(started.stderr).toContain('was written by a newer version of yard: its format is 9')
    expect(started.stderr).toContain('hint: Install that version again')
    expect(readdirSync(join(data, 'store'))).toEqual(['v9-000001.journal'])
    expect(existsSync(join(data, 'pepper'))).toBe(false)
  })

  it('leaves an agent’s directory of a newer version as it is', async () => {
    const data = join(dir.path, 'newer-agent')
    mkdirSync(join(data, 'agent'), { recursive: true })
    writeFileSync(join(data, 'agent', 'format.json'), '{"format":9}\n')
    const started = await run(['dev', '--data-dir', data, ...UP_AT_ONCE])
    expect(started.exitCode).toBe(1)
    expect(started.stderr).toContain('written by a newer version (format 9)')
    expect(existsSync(join(data, 'agent', 'identity.json'))).toBe(false)
  })

  it('finds every engine port taken, says so, and starts when one is free', async () => {
    const listeners = await neighbours()
    const [first, last] = listeners.map((server) => (server.address() as AddressInfo).port)
    const data = join(dir.path, 'ports')
    await using dev = await Dev.start(data, ['--no-model', '--engine-ports', `${first}-${last}`])
    const loaded = await dev.yard(['load', 'builtin:tiny', '--timeout', '30s'])
    expect(loaded.exitCode, loaded.stderr).toBe(10)
    expect(loaded.stderr).toMatch(
      /NODE .*\n\S+ +- +no_port .*every port of \S+ from \d+ to \d+ is taken; widen the agent's --engine-ports/,
    )
    await Promise.all(listeners.map((server) => new Promise((closed) => server.close(closed))))
    expect((await dev.yard(['model', 'delete', 'tiny'])).exitCode).toBe(0)
    const again = await dev.yard(['load', 'builtin:tiny', '--timeout', '60s'])
    expect(again.exitCode, again.stderr).toBe(0)
  })
})

/** Two listeners on ports side by side. */
async function neighbours() {
  const listen = (port: number) =>
    new Promise<ReturnType<typeof createServer> | undefined>((done) => {
      const server = createServer()
      server.once('error', () => done(undefined))
      server.listen(port, '127.0.0.1', () => done(server))
    })
  for (let port = 24_000; port < 29_000; port += 2) {
    const [left, right] = [await listen(port), await listen(port + 1)]
    if (left && right) return [left, right]
    left?.close()
    right?.close()
  }
  throw new Error('no two free ports side by side')
}
