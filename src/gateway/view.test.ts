import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Client } from '../api/client.ts'
import type { GatewayView } from '../api/objects.ts'
import { YardError } from '../base/errors.ts'
import { eventually } from './eventually.testing.ts'
import { FakeUpstream } from './fake-upstream.testing.ts'
import { endpointAt, TestGateway } from './gateway.testing.ts'
import { fileViewCache } from './view-cache.ts'
import { indexView } from './view-index.ts'

/** A control plane whose answers are given by the test, one for each poll. */
class FakeControl {
  readonly polls: { after: number; waitMs: number; answer: (view: GatewayView) => void; fail: () => void }[] =
    []
  readonly client: Pick<Client, 'call'> = {
    call: (_operation, input) =>
      new Promise((resolve, reject) => {
        const query = input.query as unknown as { after: number; waitMs: number }
        this.polls.push({
          ...query,
          answer: (view) => resolve(view as never),
          fail: () => reject(new YardError('unreachable', 'control is away')),
        })
      }),
  }

  async poll(n: number) {
    await eventually(() => this.polls.length >= n, `poll ${n}`)
    return this.polls[n - 1] as (typeof this.polls)[number]
  }
}

let directory: string
let upstream: FakeUpstream
const open: TestGateway[] = []
const stop = new AbortController()

async function gatewayWith(control: FakeControl): Promise<TestGateway> {
  const gateway = await TestGateway.start({
    control: control.client,
    cache: fileViewCache(join(directory, 'view.json')),
  })
  open.push(gateway)
  void gateway.gateway.run(stop.signal)
  return gateway
}

const viewFor = (gateway: TestGateway, more: Partial<GatewayView> = {}): GatewayView => ({
  ...gateway.view,
  endpoints: [endpointAt(upstream.port)],
  ...more,
})

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'gateway-'))
  upstream = await FakeUpstream.start()
})
afterEach(async () => {
  for (const gateway of open.splice(0)) await gateway.close()
  await upstream.close()
  await rm(directory, { recursive: true })
})

describe('the view', () => {
  it('is taken from control, and what is newer is waited for', async () => {
    const control = new FakeControl()
    const gateway = await gatewayWith(control)
    const first = await control.poll(1)
    expect(first).toMatchObject({ after: 0, waitMs: 0 })
    first.answer(viewFor(gateway, { revision: 8 }))
    expect(await control.poll(2)).toMatchObject({ after: 8, waitMs: 25_000 })
    expect((await gateway.chat().answer()).status).toBe(200)
  })

  it('serves on while control is away, which is asked again with patience', async () => {
    const control = new FakeControl()
    const gateway = await gatewayWith(control)
    ;(await control.poll(1)).answer(viewFor(gateway, { revision: 8 }))
    for (let n = 2; n < 8; n++) {
      const poll = await control.poll(n)
      poll.fail()
      await eventually(() => gateway.clock.pending > 0, 'a wait before the next try')
      await gateway.clock.advance(10_000)
    }
    await gateway.clock.advance(3_600_000)
    expect((await gateway.chat().answer()).status).toBe(200)
    const { body } = await gateway.get('/metrics', { 'x-api-key': gateway.reader.text }).answer()
    const age = Number(/^yard_gateway_snapshot_age_seconds (.+)$/m.exec(body)?.[1])
    expect(age).toBeGreaterThan(3_600)
  })

  it('is kept on disk for its owner only, and serves the next start without control', async () => {
    const control = new FakeControl()
    const gateway = await gatewayWith(control)
    ;(await control.poll(1)).answer(viewFor(gateway, { revision: 8 }))
    await control.poll(2)
    expect((await stat(join(directory, 'view.json'))).mode & 0o777).toBe(0o600)
    expect(await readdir(directory)).toEqual(['view.json'])

    const second = new FakeControl()
    const restarted = await gatewayWith(second)
    ;(await second.poll(1)).fail()
    const answer = await restarted
      .post('/v1/chat/completions', { model: 'tiny' }, { authorization: `Bearer ${gateway.user.text}` })
      .answer()
    expect(answer.status).toBe(200)
  })

  it('on disk that is broken is passed over', async () => {
    const cache = fileViewCache(join(directory, 'view.json'))
    await cache.write('{"revision": 4')
    const control = new FakeControl()
    const gateway = await gatewayWith(control)
    ;(await control.poll(1)).answer(viewFor(gateway, { revision: 8 }))
    await control.poll(2)
    expect((await gateway.chat().answer()).status).toBe(200)
  })

  it('that makes no sense is not taken over', async () => {
    const control = new FakeControl()
    const gateway = await gatewayWith(control)
    ;(await control.poll(1)).answer(viewFor(gateway, { revision: 8 }))
    ;(await control.poll(2)).answer({ revision: 9 } as GatewayView)
    await eventually(() => gateway.lines.some(({ event }) => event === 'view_poll_failed'), 'refused')
    expect(gateway.gateway.stats().viewRevision).toBe(8)
  })

  it('from a server that lags is passed over; a new history is believed in the end', async () => {
    const control = new FakeControl()
    const gateway = await gatewayWith(control)
    ;(await control.poll(1)).answer(viewFor(gateway, { revision: 800 }))
    for (let n = 2; n <= 4; n++) {
      const poll = await control.poll(n)
      expect(gateway.gateway.stats().viewRevision).toBe(800)
      poll.answer(viewFor(gateway, { revision: 3 }))
      await eventually(
        () => gateway.gateway.stats().viewRevision === 3 || gateway.clock.pending > 0,
        'dealt with',
      )
      await gateway.clock.advance(500)
    }
    expect((await control.poll(5)).after).toBe(3)
    expect(gateway.gateway.stats().viewRevision).toBe(3)
  })
})

describe('the index of a view', () => {
  const base: GatewayView = {
    revision: 1,
    planVersion: 5,
    pepper: '',
    keys: [],
    models: [
      { name: 'tiny', createdAtMs: 0, adapters: ['law', 'big'], phase: 'ready' },
      { name: 'big', createdAtMs: 0, adapters: ['law'], phase: 'ready' },
    ],
    endpoints: [
      endpointAt(1, { replica: 'a', adapters: ['law'], planVersion: 5 }),
      endpointAt(2, { replica: 'b', planVersion: 4, state: 'draining' }),
      endpointAt(3, { replica: 'c', model: 'big', adapters: ['law'], planVersion: 3 }),
    ],
  }
  const replicasOf = (index: ReturnType<typeof indexView>, name: string) =>
    index.names.get(name)?.endpoints.map(({ replica }) => replica)

  it('gives each public name its ready replicas, and a model its name before an adapter', () => {
    const index = indexView(base, new Map(), () => undefined)
    expect(replicasOf(index, 'tiny')).toEqual(['a'])
    expect(replicasOf(index, 'big')).toEqual(['c'])
    expect(replicasOf(index, 'law')).toEqual(['a', 'c'])
    expect(index.names.get('none')).toBeUndefined()
  })

  it('leaves out an endpoint of an older plan than was seen for its replica', () => {
    const seen = new Map<string, number>()
    indexView(
      { ...base, endpoints: [endpointAt(1, { replica: 'a', planVersion: 7 })] },
      seen,
      () => undefined,
    )
    expect(
      replicasOf(
        indexView(base, seen, () => undefined),
        'tiny',
      ),
    ).toEqual([])
    expect(
      replicasOf(
        indexView(base, seen, () => undefined),
        'big',
      ),
    ).toEqual(['c'])
  })

  it('leaves out addresses that are none, and credentials that would break a header', () => {
    const bad = endpointAt(1, { address: { kind: 'external', url: 'ftp://x', model: 'm' } })
    expect(
      replicasOf(
        indexView({ ...base, endpoints: [bad] }, new Map(), () => undefined),
        'tiny',
      ),
    ).toEqual([])
    const split = endpointAt(1, { replica: 'a', credential: 'x\r\nhost: evil' })
    const index = indexView({ ...base, endpoints: [split] }, new Map(), () => undefined)
    expect(index.targets.get('a')?.fixedHead).not.toContain('evil')
  })
})
