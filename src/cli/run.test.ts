import { describe, expect, it } from 'vitest'
import { aModel, fakeServer, fault, runInProcess } from './cli.testing.ts'
import { commands } from './commands/index.ts'

const list = (items: unknown[]) => ({ resourceVersion: '9', items })

describe('yard', () => {
  it('shows help with where to start and the exit codes', async () => {
    const { exitCode, stdout } = await runInProcess(['--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toContain('yard load builtin:tiny')
    expect(stdout).toContain('10 nothing fits')
  })

  it('has an example in the help of every command', async () => {
    for (const command of commands) {
      const { exitCode, stdout } = await runInProcess([...command.path, '--help'])
      expect(exitCode, command.path.join(' ')).toBe(0)
      expect(stdout, command.path.join(' ')).toContain('Examples:')
    }
  })

  it('suggests the nearest command for a misspelt one and exits 2', async () => {
    const { exitCode, stderr } = await runInProcess(['laod', 'builtin:tiny'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('load')
  })

  it('exits 2 for an unknown flag', async () => {
    expect((await runInProcess(['list', '--frobnicate'])).exitCode).toBe(2)
  })

  it('exits 2 for an unknown output format and names the known ones', async () => {
    const { exitCode, stderr } = await runInProcess(['list', '-o', 'xml'])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('jsonl')
  })

  it('exits 8 with a hint when the server is not there', async () => {
    const { exitCode, stderr } = await runInProcess(['list'])
    expect(exitCode).toBe(8)
    expect(stderr).toContain('hint:')
  })

  it.each([
    [401, 'unauthenticated', 4],
    [403, 'forbidden', 5],
    [404, 'not_found', 3],
    [409, 'conflict', 6],
    [429, 'limited', 11],
    [503, 'store_unavailable', 8],
  ])('turns the server’s %i %s into exit code %i with the request id', async (status, code, exit) => {
    const fetch = fakeServer({ 'GET /api/v1/models': fault(status, code, 'because') })
    const { exitCode, stderr } = await runInProcess(['list'], { fetch })
    expect(exitCode).toBe(exit)
    expect(stderr).toContain('error: because')
    expect(stderr).toContain('request-id: req-1')
  })

  it('finds the server and key of a yard dev on this machine', async () => {
    const fetch = fakeServer({ 'GET /api/v1/models': list([]) })
    const dir = '/home/user/.local/state/yardmaster'
    const { exitCode } = await runInProcess(['list'], {
      fetch,
      env: { YARD_SERVER: '', YARD_TOKEN: '', YARD_GATEWAY: '' },
      files: {
        [`${dir}/dev.json`]: JSON.stringify({
          gateway: 'http://g',
          control: 'http://control.test',
          adminKeyFile: `${dir}/admin.key`,
          pid: 1,
        }),
        [`${dir}/admin.key`]: 'the-admin-key\n',
      },
    })
    expect(exitCode).toBe(0)
    expect(fetch.calls[0]?.token).toBe('Bearer the-admin-key')
  })

  it('never sends the key of a yard dev to another server', async () => {
    const fetch = fakeServer({ 'GET /api/v1/models': list([]) })
    const dir = '/home/user/.local/state/yardmaster'
    const { exitCode, stderr } = await runInProcess(['list', '--server', 'http://elsewhere.test'], {
      fetch,
      env: { YARD_SERVER: '', YARD_TOKEN: '' },
      files: {
        [`${dir}/dev.json`]: JSON.stringify({
          gateway: 'http://g',
          control: 'http://control.test',
          adminKeyFile: `${dir}/admin.key`,
          pid: 1,
        }),
        [`${dir}/admin.key`]: 'the-admin-key\n',
      },
    })
    expect(exitCode).toBe(4)
    expect(fetch.calls).toEqual([])
    expect(stderr).toContain('YARD_TOKEN')
  })
})

describe('yard list', () => {
  it('writes a table without borders, the state as a word', async () => {
    const fetch = fakeServer({
      'GET /api/v1/models': list([
        aModel('tiny'),
        aModel('mine', { phase: 'failed', reason: 'out_of_memory' }),
      ]),
    })
    const { stdout } = await runInProcess(['list'], { fetch })
    expect(stdout).toMatchInlineSnapshot(`
      "NAME  SOURCE        ENGINE  READY  STATUS                    AGE
      tiny  builtin:tiny  llama   1/1    ● ready                   0s
      mine  builtin:tiny  llama   0/1    ✗ failed (out_of_memory)  0s
      "
    `)
  })

  it('writes nothing to stdout for an empty list and says on stderr what to do', async () => {
    const fetch = fakeServer({ 'GET /api/v1/models': list([]) })
    const { exitCode, stdout, stderr } = await runInProcess(['list'], { fetch })
    expect([exitCode, stdout]).toEqual([0, ''])
    expect(stderr).toContain('yard load')
  })

  it('writes the API’s objects as json, jsonl, yaml and names', async () => {
    const fetch = fakeServer({ 'GET /api/v1/models': list([aModel('tiny')]) })
    const json = await runInProcess(['list', '-o', 'json'], { fetch })
    expect(JSON.parse(json.stdout).items[0]).toEqual(aModel('tiny'))
    const jsonl = await runInProcess(['list', '-o', 'jsonl'], { fetch })
    expect(JSON.parse(jsonl.stdout)).toEqual(aModel('tiny'))
    expect((await runInProcess(['list', '-o', 'yaml'], { fetch })).stdout).toContain('- kind: Model')
    expect((await runInProcess(['list', '-o', 'name'], { fetch })).stdout).toBe('tiny\n')
  })
})

describe('yard load', () => {
  const ready = { 'GET /api/v1/models/tiny': aModel('tiny'), 'GET /api/v1/replicas': list([]) }

  it('asks for the model by its source’s name and waits until it is ready', async () => {
    const fetch = fakeServer({
      ...ready,
      'POST /api/v1/models/tiny/load': aModel('tiny', { phase: 'pending' }),
    })
    const { exitCode, stdout } = await runInProcess(['load', 'builtin:tiny', '--replicas', '2'], { fetch })
    expect([exitCode, stdout]).toEqual([0, 'tiny\n'])
    expect(fetch.calls[0]?.body).toMatchObject({
      spec: { source: 'builtin:tiny', engine: 'llama', replicas: 2 },
    })
  })

  it('takes a path as it was typed', async () => {
    const fetch = fakeServer({ 'POST /api/v1/models/my-model/load': aModel('my-model') })
    await runInProcess(['load', './My_Model.gguf', '--no-wait', '--name', 'my-model'], { fetch })
    expect(fetch.calls[0]?.body).toMatchObject({
      spec: { source: 'file:/work/My_Model.gguf', engine: 'llama' },
    })
  })

  it('brings a known model back by its name', async () => {
    const fetch = fakeServer({ 'POST /api/v1/models/mine/load': aModel('mine') })
    await runInProcess(['load', 'mine', '--no-wait'], { fetch })
    expect(fetch.calls[0]?.body).toEqual({})
  })

  it.each([
    [['load', 'ftp:x']],
    [['load', 'builtin:huge']],
    [['load', 'file:/models/../../etc/passwd', '--name', 'Not A Name']],
    [['load', 'builtin:tiny', '--engine', 'warp']],
    [['load', 'builtin:tiny', '--replicas', 'many']],
    [['load', 'builtin:tiny', '--memory', 'lots']],
    [['load', 'builtin:tiny', '--engine-arg', 'novalue']],
    [['load', 'builtin:tiny', '--timeout', 'soon']],
  ])('refuses %j before it calls anybody', async (line) => {
    const fetch = fakeServer({})
    const { exitCode, stderr } = await runInProcess(line, { fetch })
    expect(exitCode).toBe(2)
    expect(stderr).toMatch(/^error: /)
    expect(fetch.calls).toEqual([])
  })

  it.each([
    ['footprint_unknown', 10, 'yard model delete tiny, then load it again with --memory'],
    ['source_invalid', 1, 'it starts by itself'],
    ['out_of_memory', 1, 'yard logs tiny'],
  ])('tells what to do about %s', async (reason, code, hint) => {
    const fetch = fakeServer({
      'POST /api/v1/models/tiny/load': aModel('tiny', { phase: 'pending' }),
      'GET /api/v1/models/tiny': aModel('tiny', { phase: 'failed', reason, message: 'the reason in words' }),
      'GET /api/v1/replicas': list([]),
    })
    const { exitCode, stderr } = await runInProcess(['load', 'builtin:tiny'], { fetch })
    expect(exitCode).toBe(code)
    expect(stderr).toContain('error: the reason in words')
    expect(stderr).toContain(hint)
  })

  it('exits 10 with the table when nothing fits', async () => {
    const rejections = [
      {
        node: 'n1',
        device: 'GPU-1',
        reason: 'memory',
        message: 'needs 36.8 GiB',
        needBytes: 4e10,
        haveBytes: 2e10,
      },
    ]
    const fetch = fakeServer({
      'POST /api/v1/models/tiny/load': aModel('tiny', { phase: 'pending' }),
      'GET /api/v1/models/tiny': aModel('tiny', { phase: 'pending', rejections }),
      'GET /api/v1/replicas': list([]),
    })
    const { exitCode, stderr } = await runInProcess(['load', 'builtin:tiny'], { fetch })
    expect(exitCode).toBe(10)
    expect(stderr).toContain('needs 36.8 GiB')
  })

  it('exits 1 with the engine’s own words when it fails', async () => {
    const failure = {
      reason: 'bad_argument',
      message: 'the engine does not know --x',
      retryable: false,
      lastLines: ['error: invalid argument: --x'],
    }
    const replica = {
      kind: 'Replica',
      name: 'tiny-aaaaa',
      resourceVersion: '1',
      replica: {
        name: 'tiny-aaaaa',
        model: 'tiny',
        revision: 'r',
        intent: 'run',
        reason: 'scale_up',
        createdAtMs: 0,
      },
      status: {
        replica: 'tiny-aaaaa',
        node: 'n1',
        planVersion: 1,
        phase: 'failed',
        sinceMs: 0,
        restarts: 0,
        adapters: [],
        failure,
      },
      rejections: [],
    }
    const fetch = fakeServer({
      'POST /api/v1/models/tiny/load': aModel('tiny', { phase: 'pending' }),
      'GET /api/v1/models/tiny': aModel('tiny', {
        phase: 'failed',
        reason: 'bad_argument',
        message: 'the engine does not know --x',
      }),
      'GET /api/v1/replicas': list([replica]),
    })
    const { exitCode, stderr } = await runInProcess(['load', 'builtin:tiny'], { fetch })
    expect(exitCode).toBe(1)
    expect(stderr).toContain('invalid argument: --x')
  })

  it('exits 7 when --timeout passes, and says that it goes on', async () => {
    const fetch = fakeServer({
      'POST /api/v1/models/tiny/load': aModel('tiny', { phase: 'pending' }),
      'GET /api/v1/models/tiny': aModel('tiny', { phase: 'progressing' }),
      'GET /api/v1/replicas': list([]),
    })
    const { exitCode, stderr } = await runInProcess(['load', 'builtin:tiny', '--timeout', '5s'], { fetch })
    expect(exitCode).toBe(7)
    expect(stderr).toContain('it goes on')
  })
})

describe('yard chat', () => {
  const stream = (...pieces: string[]) =>
    new Response(
      [
        ...pieces.map(
          (content) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content } }] })}\n\n`,
        ),
        `data: ${JSON.stringify({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] })}\n\n`,
        `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 3, completion_tokens: 2 } })}\n\n`,
        'data: [DONE]\n\n',
      ].join(''),
      { headers: { 'content-type': 'text/event-stream' } },
    )

  it('writes one answer to stdout and nothing else', async () => {
    const fetch = fakeServer({ 'POST /v1/chat/completions': () => stream('Hel', 'lo') })
    const { exitCode, stdout, stderr } = await runInProcess(['chat', 'tiny', 'hi'], { fetch })
    expect([exitCode, stdout, stderr]).toEqual([0, 'Hello\n', ''])
  })

  it('puts what comes through a pipe before the prompt', async () => {
    const fetch = fakeServer({ 'POST /v1/chat/completions': () => stream('ok') })
    await runInProcess(['chat', 'tiny', 'Summarise', 'this'], { fetch, stdin: 'the notes\n' })
    expect(fetch.calls[0]?.body).toMatchObject({
      messages: [{ role: 'user', content: 'the notes\n\nSummarise this' }],
    })
  })

  it('fails when the stream ends without its end mark', async () => {
    const fetch = fakeServer({
      'POST /v1/chat/completions': () => new Response('data: {"choices":[{"delta":{"content":"half"}}]}\n\n'),
    })
    const { exitCode, stdout, stderr } = await runInProcess(['chat', 'tiny', 'hi'], { fetch })
    expect([exitCode, stdout]).toEqual([8, 'half'])
    expect(stderr).toContain('broke off')
  })

  it('keeps the conversation in the REPL, and forgets it on /clear', async () => {
    const fetch = fakeServer({ 'POST /v1/chat/completions': () => stream('yes') })
    const { exitCode, stdout } = await runInProcess(['chat', 'tiny'], {
      fetch,
      typed: ['one', 'two', '/clear', '"""', 'a', 'b', '"""', '/bye'],
    })
    expect(exitCode).toBe(0)
    expect(stdout).toBe('yes\nyes\nyes\n')
    const asked = fetch.calls.map((call) =>
      (call.body as { messages: { content: string }[] }).messages.map((message) => message.content),
    )
    expect(asked).toEqual([['one'], ['one', 'yes', 'two'], ['a\nb']])
  })

  it('goes on after an error in the REPL without keeping the failed question', async () => {
    let count = 0
    const fetch = fakeServer({
      'POST /v1/chat/completions': () =>
        count++ === 0
          ? Response.json({ error: { message: 'no replica is ready' } }, { status: 503 })
          : stream('back'),
    })
    const { stdout, stderr } = await runInProcess(['chat', 'tiny'], { fetch, typed: ['one', 'two', '/bye'] })
    expect(stdout).toBe('back\n')
    expect(stderr).toContain('no replica is ready')
    expect(fetch.calls[1]?.body).toMatchObject({ messages: [{ role: 'user', content: 'two' }] })
  })
})

describe('yard embed', () => {
  it('writes one vector for each line, in order', async () => {
    const fetch = fakeServer({
      'POST /v1/embeddings': {
        data: [
          { index: 1, embedding: [3, 4] },
          { index: 0, embedding: [1, 2] },
        ],
      },
    })
    const { stdout } = await runInProcess(['embed', 'tiny-embed'], { fetch, stdin: 'a\nb\n' })
    expect(stdout).toBe('[1,2]\n[3,4]\n')
  })
})

describe('several names at once', () => {
  it('exits 9 when only some failed', async () => {
    const fetch = fakeServer({ 'POST /api/v1/nodes/a/cordon': {} })
    const { exitCode, stderr } = await runInProcess(['node', 'cordon', 'a', 'b'], { fetch })
    expect(exitCode).toBe(9)
    expect(stderr).toContain('b: nothing at')
  })
})
