import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { etcdMissing, startEtcd } from '../support/etcd.ts'
import { enginePids, freshDir, Running, run, until } from './yard.ts'

const missing = etcdMissing()
if (missing !== undefined) console.warn(`skipped: roles on etcd (${missing})`)

describe.skipIf(missing !== undefined)(
  'one server on etcd, two agents and a gateway as separate processes',
  () => {
    const dir = freshDir()
    const started: Running[] = []
    let etcd: Awaited<ReturnType<typeof startEtcd>>
    let control = ''
    let gateway = ''
    let key = ''

    const yard = (args: readonly string[]) =>
      run(args, { YARD_SERVER: control, YARD_TOKEN: key, YARD_GATEWAY: gateway })
    const start = (args: readonly string[]) => {
      const running = new Running(args)
      started.push(running)
      return running
    }
    const urlIn = (running: Running, event: string) =>
      until(`${event} of ${running.child.spawnargs.slice(2, 4).join(' ')}\n`, () => {
        if (running.child.exitCode !== null) throw new Error(running.stderr)
        const line = running.stderr.split('\n').find((text) => text.includes(`"event":"${event}"`))
        return line === undefined ? undefined : (JSON.parse(line) as { url: string }).url
      })
    const agent = (name: string) =>
      start([
        'agent',
        '--server',
        control,
        '--join-token-file',
        join(dir.path, 'agent.token'),
        '--name',
        name,
        '--listen',
        '127.0.0.1:0',
        '--data-dir',
        join(dir.path, name),
      ])
    const complete = async () => {
      const response = await fetch(`${gateway}/v1/completions`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'pair', prompt: 'once', max_tokens: 4 }),
      })
      return {
        status: response.status,
        replica: response.headers.get('x-yard-replica'),
        body: await response.text(),
      }
    }

    beforeAll(async () => {
      etcd = await startEtcd()
      const server = start([
        'server',
        '--data-dir',
        join(dir.path, 'server'),
        '--listen',
        '127.0.0.1:0',
        '--no-gateway',
        '--etcd-endpoints',
        etcd.endpoints.join(','),
      ])
      control = await urlIn(server, 'control_listening')
      key = await until('the admin key', async () => {
        const { readFileSync } = await import('node:fs')
        return readFileSync(join(dir.path, 'server', 'admin.key'), 'utf8').trim()
      })
      for (const role of ['agent', 'gateway']) {
        const token = await until('a join token', async () => {
          const made = await yard(['node', 'join-token', '--role', role, '--uses', '2', '-q'])
          return made.exitCode === 0 && made.stdout
        })
        writeFileSync(join(dir.path, `${role}.token`), token)
      }
      agent('left')
      agent('right')
      gateway = await urlIn(
        start([
          'gateway',
          '--server',
          control,
          '--join-token-file',
          join(dir.path, 'gateway.token'),
          '--listen',
          '127.0.0.1:0',
          '--data-dir',
          join(dir.path, 'gateway'),
        ]),
        'gateway_listening',
      )
      await until('both nodes are ready', async () => {
        const nodes = JSON.parse((await yard(['node', 'list', '-o', 'json'])).stdout) as {
          items: { ready: boolean }[]
        }
        return nodes.items.filter((node) => node.ready).length === 2
      })
    }, 120_000)

    afterAll(async () => {
      for (const running of started) running.child.kill('SIGKILL')
      for (const name of ['left', 'right'])
        for (const pid of enginePids(join(dir.path, name))) process.kill(pid, 'SIGKILL')
      await etcd?.[Symbol.asyncDispose]()
      dir[Symbol.dispose]()
    })

    it('spreads two replicas over both agents', async () => {
      const loaded = await yard(['load', 'builtin:tiny', '--name', 'pair', '--replicas', '2'])
      expect(loaded.exitCode, loaded.stderr).toBe(0)
      const { items } = JSON.parse((await yard(['replica', 'list', 'pair', '-o', 'json'])).stdout) as {
        items: { placement: { node: string } }[]
      }
      expect(items.map((item) => item.placement.node).sort()).toEqual(['left', 'right'])
    })

    it('answers every request while an agent and its engine are killed', async () => {
      await until(
        'the gateway uses both',
        async () =>
          new Set(await Promise.all([...Array(8)].map(async () => (await complete()).replica))).size === 2,
      )
      let going = true
      const results: { status: number; body: string }[] = []
      const load = [...Array(4)].map(async () => {
        while (going) results.push(await complete())
      })
      await until('some requests were answered', () => results.length > 20)
      const victim = started.find((running) => running.child.spawnargs.includes('left'))
      await victim?.kill('SIGKILL')
      for (const pid of enginePids(join(dir.path, 'left'))) process.kill(pid, 'SIGKILL')
      const at = results.length
      await until('requests go on', () => results.length > at + 100)
      going = false
      await Promise.all(load)
      expect(results.filter((result) => result.status !== 200)).toEqual([])
    })

    it('replaces the lost replica on the other node, then takes the node back', async () => {
      await until(
        'two ready replicas on the right',
        async () => {
          const { items } = JSON.parse((await yard(['replica', 'list', 'pair', '-o', 'json'])).stdout) as {
            items: { placement?: { node: string }; status?: { phase: string } }[]
          }
          return (
            items.filter((item) => item.placement?.node === 'right' && item.status?.phase === 'ready')
              .length === 2
          )
        },
        110_000,
      )
      agent('left')
      await until('left is ready again', async () => {
        const nodes = JSON.parse((await yard(['node', 'list', '-o', 'json'])).stdout) as {
          items: { name: string; ready: boolean }[]
        }
        return nodes.items.find((node) => node.name === 'left')?.ready === true
      })
      expect(enginePids(join(dir.path, 'left'))).toEqual([])
    })

    it('goes on serving while the control plane is gone', async () => {
      await started[0]?.kill('SIGKILL')
      for (let count = 0; count < 20; count++) expect((await complete()).status).toBe(200)
    })
  },
)
