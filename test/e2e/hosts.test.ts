import { execFile } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Certificate, Hosts, hostsMissing, makeAuthority } from '../support/hosts.ts'
import { enginePids, freshDir, Running, run, until } from './yard.ts'

const missing = hostsMissing()
if (missing !== undefined) console.warn(`skipped: roles on hosts of their own (${missing})`)

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers']
  readonly text: string
}

interface Placed {
  readonly name: string
  readonly node: string
  readonly port: number
  readonly phase: string
}

describe.skipIf(missing !== undefined)('server, two agents and a gateway on four hosts, over TLS', () => {
  const dir = freshDir()
  const started = new Map<string, Running>()
  let hosts: Hosts
  let caFile: string
  let ca: string
  let key = ''
  const certificates = new Map<string, Certificate>()

  const at = (name: string) => hosts.host(name).ip
  const control = () => `https://${at('a')}:7701`
  const gateway = () => `https://${at('d')}:7700`
  const agentUrl = (name: string) => `https://${at(name)}:7702`
  const dataOf = (name: string) => join(dir.path, name)
  const tlsOf = (name: string) => {
    const { certFile, keyFile } = certificates.get(name) as Certificate
    return ['--tls-cert-file', certFile, '--tls-key-file', keyFile]
  }
  const start = (host: string, args: readonly string[], env: Record<string, string> = {}) => {
    const running = new Running(
      args,
      { NODE_EXTRA_CA_CERTS: caFile, ...env },
      undefined,
      hosts.host(host).prefix,
    )
    started.set(`${host} ${args.join(' ')}`, running)
    return running
  }
  const yard = (args: readonly string[]) =>
    run(args, {
      NODE_EXTRA_CA_CERTS: caFile,
      YARD_SERVER: control(),
      YARD_TOKEN: key,
      YARD_GATEWAY: gateway(),
    })
  const logged = (running: Running, event: string) =>
    until(`${event}\n${running.stderr}`, () => {
      if (running.child.exitCode !== null) throw new Error(running.stderr)
      return running.stderr.includes(`"event":"${event}"`)
    })
  const token = async (name: string, more: readonly string[] = []) => {
    const made = await yard(['node', 'join-token', '-q', ...more])
    expect(made.exitCode, made.stderr).toBe(0)
    const file = join(dir.path, `${name}.token`)
    writeFileSync(file, made.stdout)
    return file
  }
  const agentArgs = (host: string, name: string, tokenFile: string) => [
    ...['agent', '--server', control(), '--name', name, '--join-token-file', tokenFile],
    ...['--listen', `${at(host)}:7702`, '--advertise', agentUrl(host)],
  ]
  const nodes = async () => {
    const { items } = JSON.parse((await yard(['node', 'list', '-o', 'json'])).stdout) as {
      items: { name: string; ready: boolean }[]
    }
    return items
  }
  const isReady = async (name: string) => (await nodes()).some((node) => node.name === name && node.ready)
  const replicas = async (): Promise<Placed[]> => {
    const { items } = JSON.parse((await yard(['replica', 'list', 'pair', '-o', 'json'])).stdout) as {
      items: {
        name: string
        placement?: { node: string; port: number }
        status?: { phase: string }
      }[]
    }
    return items.map(({ name, placement, status }) => ({
      name,
      node: placement?.node ?? '',
      port: placement?.port ?? 0,
      phase: status?.phase ?? '',
    }))
  }
  const readyOn = async () =>
    (await replicas())
      .filter(({ phase }) => phase === 'ready')
      .map(({ node }) => node)
      .sort()
  const planVersion = async () => {
    const answer = await send(control(), { path: '/api/v1/plan', bearer: key })
    expect(answer.status, answer.text).toBe(200)
    return (JSON.parse(answer.text) as { planVersion: number }).planVersion
  }
  const view = () =>
    JSON.parse(readFileSync(join(dataOf('d'), 'gateway', 'view.json'), 'utf8')) as {
      endpoints: { replica: string; node: string; credential: string }[]
    }
  const endpointOn = (node: string) => {
    const endpoint = view().endpoints.find((each) => each.node === node)
    if (endpoint === undefined) throw new Error(`no endpoint on ${node}`)
    return endpoint
  }
  const agentCredential = (name: string) =>
    (
      JSON.parse(readFileSync(join(dataOf(name), 'agent', 'identity.json'), 'utf8')) as {
        registered: { agentCredential: string }
      }
    ).registered.agentCredential

  interface Ask {
    readonly path: string
    readonly method?: string
    readonly bearer?: string
    readonly body?: unknown
  }
  /** The path goes out as it is written. Resolves with the head; the caller reads or destroys the answer. */
  const open = (base: string, ask: Ask): Promise<IncomingMessage> => {
    const { hostname, port } = new URL(base)
    const body = ask.body === undefined ? undefined : JSON.stringify(ask.body)
    return new Promise((resolve, reject) => {
      const asking = request(
        {
          ca,
          hostname,
          port,
          path: ask.path,
          method: ask.method ?? (body === undefined ? 'GET' : 'POST'),
          headers: {
            ...(ask.bearer === undefined ? {} : { authorization: `Bearer ${ask.bearer}` }),
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
        },
        resolve,
      )
      asking.once('error', reject)
      asking.end(body)
    })
  }
  const send = async (base: string, ask: Ask): Promise<Answer> => {
    const response = await open(base, ask)
    let text = ''
    for await (const chunk of response) text += String(chunk)
    return { status: response.statusCode ?? 0, headers: response.headers, text }
  }
  const complete = (more: object = {}) =>
    send(gateway(), {
      path: '/v1/completions',
      bearer: key,
      body: { model: 'pair', prompt: 'once', max_tokens: 4, ...more },
    })

  /** Requests without end from several clients; `stop` gives all answers that were not 200. */
  const load = (clients: number) => {
    let going = true
    const failures: string[] = []
    const counts = { answered: 0 }
    const work = [...Array(clients)].map(async () => {
      while (going) {
        const answer = await complete().catch((error: unknown) => ({ status: 0, text: String(error) }))
        if (answer.status === 200) counts.answered++
        else failures.push(`${answer.status} ${answer.text}`)
      }
    })
    return {
      counts,
      async stop() {
        going = false
        await Promise.all(work)
        return failures
      },
    }
  }

  beforeAll(async () => {
    hosts = new Hosts(['a', 'b', 'c', 'd'])
    const authority = makeAuthority(dir.path)
    caFile = authority.caFile
    ca = readFileSync(caFile, 'utf8')
    for (const name of ['a', 'b', 'c', 'd']) certificates.set(name, authority.sign(at(name)))
    const server = start('a', [
      ...['server', '--data-dir', dataOf('a'), '--listen', `${at('a')}:7701`, '--no-gateway'],
      ...tlsOf('a'),
    ])
    await logged(server, 'control_listening')
    key = readFileSync(join(dataOf('a'), 'admin.key'), 'utf8').trim()
    for (const name of ['b', 'c']) {
      const args = agentArgs(name, name, await token(name))
      start(name, [...args, '--data-dir', dataOf(name), ...tlsOf(name)])
    }
    const gatewayToken = await token('d', ['--role', 'gateway'])
    await logged(
      start('d', [
        ...['gateway', '--server', control(), '--name', 'd', '--join-token-file', gatewayToken],
        ...['--listen', `${at('d')}:7700`, '--data-dir', dataOf('d'), ...tlsOf('d')],
      ]),
      'gateway_listening',
    )
    await until('both nodes are ready', async () => (await isReady('b')) && (await isReady('c')))
    const loaded = await yard(['load', 'builtin:tiny', '--name', 'pair', '--replicas', '2'])
    expect(loaded.exitCode, loaded.stderr).toBe(0)
    await until('the gateway uses both', async () => {
      const answers = await Promise.all([...Array(8)].map(() => complete()))
      return new Set(answers.map(({ headers }) => headers['x-yard-replica'])).size === 2
    })
  }, 120_000)

  afterAll(async () => {
    for (const running of started.values()) running.child.kill('SIGKILL')
    for (const name of ['b', 'c']) for (const pid of enginePids(dataOf(name))) process.kill(pid, 'SIGKILL')
    await Promise.all([...started.values()].map((running) => running.finished))
    hosts?.[Symbol.dispose]()
    dir[Symbol.dispose]()
  })

  it('places one replica on each node', async () => {
    expect(await readyOn()).toEqual(['b', 'c'])
  })

  it('reaches engines through their agents only', async () => {
    const [onB] = (await replicas()).filter(({ node }) => node === 'b')
    const connectFrom = (host: string, ip: string) =>
      new Promise<string>((resolve) => {
        const [ipProgram = '', ...rest] = hosts.host(host).prefix
        const script = `require('node:net').connect(${onB?.port},'${ip}').on('connect',()=>{console.log('open');process.exit()}).on('error',e=>console.log(e.code))`
        execFile(ipProgram, [...rest, process.execPath, '-e', script], (_error, stdout) =>
          resolve(stdout.trim()),
        )
      })
    expect(await connectFrom('d', at('b'))).toBe('ECONNREFUSED')
    // The engine does listen: on its host's own loopback.
    expect(await connectFrom('b', '127.0.0.1')).toBe('open')
  })

  it('lets the credential of a replica pass to its inference paths and nowhere else', async () => {
    const { replica, credential } = endpointOn('b')
    const other = endpointOn('c').credential
    const body = { model: 'pair', prompt: 'once', max_tokens: 1 }
    const post = (path: string, bearer?: string) =>
      send(agentUrl('b'), {
        path: `/engines/${replica}${path}`,
        body,
        ...(bearer === undefined ? {} : { bearer }),
      })
    expect((await post('/v1/completions', credential)).status).toBe(200)
    for (const bearer of [undefined, 'wrong', other, key, agentCredential('b')]) {
      expect((await post('/v1/completions', bearer)).status, String(bearer)).toBe(401)
    }
    for (const path of [
      '/v1/load_lora_adapter',
      '/admin/fault',
      '/v1/completions/../../admin/fault',
      '/v1/../admin/fault',
      '/v1/%2e%2e/admin/fault',
      '//v1/completions',
      '/v1/completions/',
    ]) {
      expect((await post(path, credential)).status, path).toBe(404)
    }
    const metrics = (bearer: string) => send(agentUrl('b'), { path: `/engines/${replica}/metrics`, bearer })
    expect((await metrics(credential)).status).toBe(401)
    expect((await metrics(agentCredential('c'))).status).toBe(401)
    expect((await metrics(agentCredential('b'))).text).toContain('yard_engine_requests_running')
    const logs = { path: `/replicas/${replica}/logs`, bearer: credential }
    expect((await send(agentUrl('b'), logs)).status).toBe(401)
  })

  it('streams event by event, and a client that leaves ends the work of the engine', async () => {
    const response = await open(gateway(), {
      path: '/v1/completions',
      bearer: key,
      body: { model: 'pair', prompt: 'once', max_tokens: 1900, stream: true, ignore_eos: true },
    })
    const replica = String(response.headers['x-yard-replica'])
    const node = (await replicas()).find(({ name }) => name === replica)?.node ?? ''
    const gauge = async (name: string) => {
      const { text } = await send(agentUrl(node), {
        path: `/engines/${replica}/metrics`,
        bearer: agentCredential(node),
      })
      const line = text.split('\n').find((each) => each.startsWith(`yard_engine_${name}`))
      return Number(line?.split(' ').at(-1))
    }
    let text = ''
    response.on('data', (chunk) => {
      text += String(chunk)
    })
    response.on('error', () => {})
    await until('some events', () => text.split('\n\n').length > 3)
    // What has come so far came while the rest was still to be made.
    expect(await gauge('requests_running')).toBe(1)
    expect(text).not.toContain('[DONE]')
    response.destroy()
    await until('the engine has nothing to do', async () => (await gauge('requests_running')) === 0, 250)
    expect(text.split('\n\n').length).toBeLessThan(1900)
  })

  it('shows the lines of an engine to the operator, from its node by way of the server', async () => {
    const { replica } = endpointOn('b')
    const logs = await yard(['logs', replica])
    expect(logs.exitCode, logs.stderr).toBe(0)
    expect(logs.stdout).toMatch(/\S/)
  })

  it('takes nothing of a request on faith: who asks control by any name needs a key', async () => {
    expect((await send(control(), { path: '/api/v1/models' })).status).toBe(401)
    expect((await send(gateway(), { path: '/v1/models' })).status).toBe(401)
    expect((await send(agentUrl('b'), { path: '/replicas/x/logs' })).status).toBe(401)
  })

  it('refuses to be reached from other machines without TLS', async () => {
    const cases = [
      ['a', ['server', '--listen', `${at('a')}:7711`, '--no-gateway']],
      ['b', agentArgs('b', 'plain', join(dir.path, 'b.token')).map((arg) => arg.replace(':7702', ':7712'))],
      [
        'd',
        [
          'gateway',
          '--server',
          control(),
          '--listen',
          `${at('d')}:7710`,
          '--join-token-file',
          await token('plain', ['--role', 'gateway']),
        ],
      ],
    ] as const
    for (const [host, args] of cases) {
      const { exitCode, stderr } = await start(host, [...args, '--data-dir', dataOf('plain')]).finished
      expect(exitCode, stderr).toBe(2)
      expect(stderr).toMatch(/can be reached from other machines, and there is no TLS/)
      expect(stderr).toMatch(/--tls-cert-file and --tls-key-file.*--insecure/)
    }
  })

  it('says that a certificate is not trusted, and how to trust it', async () => {
    const { exitCode, stderr } = await run(['node', 'list'], { YARD_SERVER: control(), YARD_TOKEN: key })
    expect(exitCode, stderr).toBe(8)
    expect(stderr).toMatch(/certificate of the server at .* is not trusted/)
    expect(stderr).toMatch(/NODE_EXTRA_CA_CERTS/)
  })

  it('does not let an agent tell a server elsewhere an address that leads nowhere', async () => {
    const { exitCode, stderr } = await start('d', [
      ...['agent', '--server', control(), '--name', 'nowhere', '--data-dir', dataOf('nowhere')],
      ...['--join-token-file', join(dir.path, 'b.token')],
    ]).finished
    expect(exitCode, stderr).toBe(2)
    expect(stderr).toMatch(/nobody elsewhere reaches this agent at 127\.0\.0\.1:7702/)
    expect(stderr).toMatch(/--advertise/)
  })

  it('takes a join token once, and says what is wrong with one that is not good', async () => {
    const garbage = join(dir.path, 'garbage.token')
    writeFileSync(garbage, 'let me in\n')
    const expired = await token('expired', ['--ttl', '1s'])
    const expiredAtMs = Date.now() + 1_000
    const forGateways = await token('for-gateways', ['--role', 'gateway'])
    const used = join(dir.path, 'b.token')
    await until('a token has expired', () => Date.now() > expiredAtMs)
    for (const file of [used, garbage, expired, forGateways]) {
      const stranger = start('d', [
        ...['agent', '--server', control(), '--name', 'stranger', '--join-token-file', file],
        ...['--listen', `${at('d')}:7702`, '--data-dir', dataOf('stranger'), ...tlsOf('d')],
      ])
      const { exitCode, stderr } = await stranger.finished
      expect(exitCode, stderr).toBe(4)
      expect(stderr).toMatch(/does not accept the join token/)
      expect(stderr).toMatch(/yard node join-token/)
    }
    expect((await nodes()).map(({ name }) => name).sort()).toEqual(['b', 'c'])
  })

  it('does not let a second agent have the name of one that lives', async () => {
    const { exitCode, stderr } = await start('d', [
      ...agentArgs('d', 'b', await token('second')),
      ...['--data-dir', dataOf('second'), ...tlsOf('d')],
    ]).finished
    expect(exitCode, stderr).toBe(6)
    expect(stderr).toMatch(/node named "b" is already registered by another agent/)
    expect(await isReady('b')).toBe(true)
  })

  it('serves on while one node is cut off, replaces its replica, and takes the node back', async () => {
    const before = endpointOn('b').replica
    const enginesBefore = enginePids(dataOf('b'))
    expect(enginesBefore).toHaveLength(1)
    const requests = load(4)
    await until('requests are answered', () => requests.counts.answered > 20)
    hosts.cut('b')
    await until('its endpoint has left the gateway', () => !view().endpoints.some(({ node }) => node === 'b'))
    const answered = requests.counts.answered
    await until('requests go on', () => requests.counts.answered > answered + 50)
    await until('a replacement on c', async () => (await readyOn()).join() === 'c,c', 60_000)
    // Nobody could tell the engine that it was replaced.
    expect(enginePids(dataOf('b'))).toEqual(enginesBefore)
    hosts.heal('b')
    await until('b is ready', () => isReady('b'))
    await until('its engine has been stopped', () => enginePids(dataOf('b')).length === 0)
    expect(await requests.stop()).toEqual([])
    expect((await replicas()).map(({ name }) => name)).not.toContain(before)
  }, 180_000)

  it('changes nothing while the server is cut off, first from the nodes and then from everybody', async () => {
    const server = [...started.values()][0] as Running
    const version = await planVersion()
    const before = await replicas()
    const engines = () => [...enginePids(dataOf('b')), ...enginePids(dataOf('c'))]
    const enginesBefore = engines()
    const requests = load(4)
    // One way only: the nodes can still be heard, and hear nothing.
    for (const node of ['b', 'c']) hosts.cutOneWay('a', node)
    await until('the server suspects itself', () => server.stderr.includes('"suspect_self"'))
    expect(view().endpoints.map(({ node }) => node)).toEqual(before.map(({ node }) => node))
    hosts.cut('a')
    const answered = requests.counts.answered
    await until('requests go on', () => requests.counts.answered > answered + 100)
    hosts.heal('a')
    for (const node of ['b', 'c']) hosts.healOneWay('a', node)
    await until('both nodes are ready', async () => (await isReady('b')) && (await isReady('c')))
    expect(await requests.stop()).toEqual([])
    expect(engines()).toEqual(enginesBefore)
    expect(await replicas()).toEqual(before)
    expect(await planVersion()).toBe(version)
  }, 120_000)
})
