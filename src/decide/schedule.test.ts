import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { ClusterView, NodeView, ReplicaAsk } from './cluster-view.ts'
import { aCpu, aGpu, aNode, anAsk, aPlacement, frozen, GIB, randomFrom } from './decide.testing.ts'
import { schedule } from './schedule.ts'

function plan(asks: readonly ReplicaAsk[], nodes: readonly NodeView[], over: Partial<ClusterView> = {}) {
  return schedule(frozen(asks), frozen({ nodes, placements: [], ...over }), randomFrom(1))
}

function rejectionsOf(ask: ReplicaAsk, nodes: readonly NodeView[], over: Partial<ClusterView> = {}) {
  const { placed, unplaced } = plan([ask], nodes, over)
  expect(placed).toEqual([])
  return unplaced[0]?.rejections ?? []
}

describe('a place', () => {
  test('is a node, its devices and a port', () => {
    expect(plan([anAsk()], [aNode()])).toEqual({
      placed: [
        {
          replica: 'chat-1',
          model: 'chat',
          node: 'a',
          deviceIds: ['GPU-0'],
          bytesPerDevice: 8 * GIB,
          hostMemoryBytes: 0,
          port: expect.any(Number),
        },
      ],
      unplaced: [],
    })
  })

  test('is taken from what the next ask sees', () => {
    const asks = [1, 2, 3, 4].map((index) => anAsk({ replica: `chat-${index}` }))
    const { placed, unplaced } = plan(asks, [aNode()])
    expect(new Set(placed.map(({ port }) => port)).size).toBe(3)
    expect(unplaced.map(({ replica }) => replica)).toEqual(['chat-4'])
  })

  test('goes to the higher priority, then to the older ask', () => {
    const asks = [
      anAsk({ replica: 'young', createdAtMs: 3, bytes: 20 * GIB }),
      anAsk({ replica: 'old', createdAtMs: 1, bytes: 20 * GIB }),
      anAsk({ replica: 'urgent', createdAtMs: 2, priority: 1, bytes: 20 * GIB }),
    ]
    const nodes = [aNode(), aNode({ name: 'b' })]
    expect(plan(asks, nodes).placed.map(({ replica }) => replica)).toEqual(['urgent', 'old'])
  })

  test('is on the preferred kind of device while one has room, on any node', () => {
    const footprint = { ...anAsk().footprint, deviceKinds: ['cuda', 'cpu'] as const }
    const nodes = [aNode({ name: 'a', devices: [aCpu()] }), aNode({ name: 'b' })]
    expect(plan([anAsk({ footprint })], nodes).placed[0]).toMatchObject({ node: 'b', deviceIds: ['GPU-0'] })
    const cordoned = [aNode({ name: 'a', devices: [aCpu()] }), aNode({ name: 'b', cordoned: true })]
    expect(plan([anAsk({ footprint })], cordoned).placed[0]).toMatchObject({ node: 'a', deviceIds: ['cpu'] })
  })

  test('needs no device when nothing asks for one', () => {
    const footprint = { deviceKinds: [], devices: 0, bytesPerDevice: 0, hostMemoryBytes: GIB, parts: [] }
    expect(plan([anAsk({ footprint })], [aNode()]).placed[0]).toMatchObject({
      deviceIds: [],
      hostMemoryBytes: GIB,
    })
  })
})

describe('what is free', () => {
  test('counts a replica once that is both planned and found', () => {
    const placement = aPlacement({ bytesPerDevice: 16 * GIB })
    const node = aNode({
      occupancy: [
        {
          replica: 'other-1',
          deviceIds: ['GPU-0'],
          bytesPerDevice: 16 * GIB,
          hostMemoryBytes: 0,
          port: 20_000,
        },
      ],
    })
    expect(plan([anAsk()], [node], { placements: [placement] }).placed).toHaveLength(1)
  })

  test('counts the larger where plan and node differ', () => {
    const placements = [aPlacement({ bytesPerDevice: 10 * GIB })]
    const found = { replica: 'other-1', deviceIds: ['GPU-0'], hostMemoryBytes: 0, port: 20_000 }
    const more = aNode({ occupancy: [{ ...found, bytesPerDevice: 20 * GIB }] })
    expect(rejectionsOf(anAsk(), [more], { placements })).toMatchObject([{ haveBytes: 4 * GIB }])
    const less = aNode({ occupancy: [{ ...found, bytesPerDevice: GIB }] })
    expect(rejectionsOf(anAsk({ bytes: 15 * GIB }), [less], { placements })).toMatchObject([
      { haveBytes: 14 * GIB },
    ])
  })

  test('counts twice what an agent found twice', () => {
    const found = { replica: 'gone-1', deviceIds: ['GPU-0'], hostMemoryBytes: 0, bytesPerDevice: 8 * GIB }
    const occupancy = [
      { ...found, port: 20_000 },
      { ...found, port: 20_001 },
    ]
    const node = aNode({ occupancy, devices: [aGpu({ memoryUsedBytes: 16 * GIB }), aCpu()] })
    expect(rejectionsOf(anAsk({ bytes: 9 * GIB }), [node])).toMatchObject([{ haveBytes: 8 * GIB }])
  })

  test('is given to the last byte and not beyond', () => {
    expect(plan([anAsk({ bytes: 24 * GIB })], [aNode()]).placed).toHaveLength(1)
    const [rejection] = rejectionsOf(anAsk({ bytes: 24 * GIB + 1 }), [aNode()])
    expect(rejection?.message).toContain('needs 24.1GiB on a cuda device; GPU-0 (NVIDIA L4) has 24GiB')
  })

  test('counts what is found on the node though nobody plans it any more', () => {
    const node = aNode({
      occupancy: [
        {
          replica: 'gone-1',
          deviceIds: ['GPU-0'],
          bytesPerDevice: 20 * GIB,
          hostMemoryBytes: 0,
          port: 20_000,
        },
      ],
    })
    expect(rejectionsOf(anAsk(), [node])).toMatchObject([{ reason: 'memory', haveBytes: 4 * GIB }])
  })

  test('leaves out what others use on an accelerator, beyond what ours explain', () => {
    const occupancy = [
      {
        replica: 'other-1',
        deviceIds: ['GPU-0'],
        bytesPerDevice: 10 * GIB,
        hostMemoryBytes: 0,
        port: 20_000,
      },
    ]
    const shared = aNode({ occupancy, devices: [aGpu({ memoryUsedBytes: 18 * GIB }), aCpu()] })
    expect(rejectionsOf(anAsk(), [shared])).toMatchObject([{ reason: 'memory', haveBytes: 6 * GIB }])
    const ours = aNode({ occupancy, devices: [aGpu({ memoryUsedBytes: 9 * GIB }), aCpu()] })
    expect(plan([anAsk()], [ours]).placed).toHaveLength(1)
  })

  test('takes no page cache for use of main memory, but keeps a reserve for the machine', () => {
    const onCpu = { ...anAsk().footprint, deviceKinds: ['cpu'] as const, bytesPerDevice: 14 * GIB }
    const node = aNode({ devices: [aCpu({ memoryBytes: 16 * GIB, memoryUsedBytes: 15 * GIB })] })
    const [rejection] = rejectionsOf(anAsk({ footprint: { ...onCpu, bytesPerDevice: 15 * GIB } }), [node])
    expect(rejection).toMatchObject({ reason: 'memory', haveBytes: Math.floor(14.4 * GIB) })
    expect(plan([anAsk({ footprint: onCpu })], [node]).placed).toHaveLength(1)
  })

  test('charges main memory to the same machine as the processors’ replicas', () => {
    const hosted = { ...anAsk().footprint, hostMemoryBytes: 40 * GIB }
    const nodes = [aNode({ devices: [aGpu(), aGpu({ id: 'GPU-1' }), aCpu()] })]
    const asks = [anAsk({ footprint: hosted }), anAsk({ replica: 'chat-2', footprint: hosted })]
    const { placed, unplaced } = plan(asks, nodes)
    expect(placed).toHaveLength(1)
    expect(unplaced[0]?.rejections).toMatchObject([
      { reason: 'host_memory', needBytes: 40 * GIB, haveBytes: 22 * GIB },
    ])
  })

  test('is nothing where main memory is not reported', () => {
    const hosted = { ...anAsk().footprint, hostMemoryBytes: 1 }
    expect(rejectionsOf(anAsk({ footprint: hosted }), [aNode({ devices: [aGpu()] })])).toMatchObject([
      { reason: 'host_memory' },
    ])
  })

  test('skips ports that are planned, found or somebody else’s', () => {
    const node = aNode({
      enginePorts: { first: 20_000, last: 20_003 },
      takenPorts: [20_001],
      occupancy: [{ replica: 'gone-1', deviceIds: [], bytesPerDevice: 0, hostMemoryBytes: 0, port: 20_002 }],
    })
    const placements = [aPlacement({ port: 20_000 })]
    expect(plan([anAsk()], [node], { placements }).placed[0]?.port).toBe(20_003)
  })

  test('is any port of the range: nodes that share a machine must not all begin at its lowest', () => {
    const cluster = { nodes: [aNode()], placements: [] }
    const given = [0, 0.2, 0.4, 0.6, 0.8].map((at) => schedule([anAsk()], cluster, () => at).placed[0]?.port)
    expect(new Set(given).size).toBe(5)
  })
})

describe('several devices', () => {
  const eight = (count: number, over: Parameters<typeof aGpu>[0] = {}) =>
    Array.from({ length: count }, (_, index) => aGpu({ id: `${over.model ?? 'GPU'}-${index}`, ...over }))

  test('are of one model, and each has its own share free', () => {
    const mixed = aNode({
      devices: [aGpu(), aGpu({ id: 'GPU-1', model: 'NVIDIA H100', memoryBytes: 80 * GIB })],
    })
    expect(rejectionsOf(anAsk({ devices: 2, bytes: 20 * GIB }), [mixed])).toMatchObject([
      {
        reason: 'device_count',
        message: expect.stringContaining('needs 2 healthy cuda devices of one model'),
      },
    ])
    const equal = aNode({ devices: eight(2) })
    expect(plan([anAsk({ devices: 2, bytes: 20 * GIB })], [equal]).placed[0]?.deviceIds).toEqual([
      'GPU-0',
      'GPU-1',
    ])
    const half = [aPlacement({ deviceIds: ['GPU-1'], bytesPerDevice: 12 * GIB })]
    expect(rejectionsOf(anAsk({ devices: 2, bytes: 20 * GIB }), [equal], { placements: half })).toMatchObject(
      [{ reason: 'memory', device: 'GPU-1', haveBytes: 12 * GIB }],
    )
  })

  test('are suggested where more of them would share the load', () => {
    const [rejection] = rejectionsOf(anAsk({ bytes: 40 * GIB }), [aNode({ devices: [...eight(4), aCpu()] })])
    expect(rejection?.message).toContain('--gpus 2')
  })
})

describe('strategy', () => {
  const nodes = [
    aNode({ name: 'a', devices: [aGpu(), aGpu({ id: 'GPU-1' })] }),
    aNode({ name: 'b', devices: [aGpu(), aGpu({ id: 'GPU-1' })] }),
  ]

  test('spread puts a model’s replicas on different nodes, then on different devices', () => {
    const asks = [1, 2, 3, 4].map((index) =>
      anAsk({ replica: `chat-${index}`, createdAtMs: index, bytes: GIB }),
    )
    const { placed } = plan(asks, nodes)
    const places = placed.map(({ node, deviceIds }) => `${node}/${deviceIds[0]}`)
    expect(new Set(places)).toEqual(new Set(['a/GPU-0', 'a/GPU-1', 'b/GPU-0', 'b/GPU-1']))
    expect(
      placed
        .slice(0, 2)
        .map(({ node }) => node)
        .sort(),
    ).toEqual(['a', 'b'])
  })

  test('spread prefers the place with the most room', () => {
    const placements = [
      aPlacement({ node: 'a', bytesPerDevice: 10 * GIB }),
      aPlacement({ node: 'a', deviceIds: ['GPU-1'], replica: 'other-2', bytesPerDevice: 9 * GIB }),
      aPlacement({ node: 'b', replica: 'other-3', bytesPerDevice: GIB }),
    ]
    expect(plan([anAsk()], nodes, { placements }).placed[0]).toMatchObject({
      node: 'b',
      deviceIds: ['GPU-1'],
    })
  })

  test('pack prefers the tightest place that fits', () => {
    const placements = [aPlacement({ node: 'b', deviceIds: ['GPU-1'], bytesPerDevice: 15 * GIB })]
    expect(plan([anAsk({ strategy: 'pack' })], nodes, { placements }).placed[0]).toMatchObject({
      node: 'b',
      deviceIds: ['GPU-1'],
    })
  })

  test('between equal nodes the generator decides', () => {
    const chosen = new Set(
      [0, 0.99].map((value) => schedule([anAsk()], { nodes, placements: [] }, () => value).placed[0]?.node),
    )
    expect(chosen).toEqual(new Set(['a', 'b']))
  })
})

describe('a rejection', () => {
  const cases: [string, Partial<ReplicaAsk>, Partial<NodeView>, string, string][] = [
    ['cordoned', {}, { cordoned: true }, 'cordoned', 'yard node uncordon a'],
    ['silent', {}, { ready: false }, 'not_ready', 'start its agent'],
    ['avoided', { avoidNodes: ['a'] }, {}, 'avoided', 'failed on a'],
    [
      'otherwise labelled',
      { nodeSelector: { zone: 'x' } },
      { labels: { zone: 'y' } },
      'selector',
      'zone=x; a has zone=y',
    ],
    ['not labelled', { nodeSelector: { constructor: 'x' } }, {}, 'selector', 'constructor=(none)'],
    ['without the engine', { engine: 'sglang' }, {}, 'engine_missing', 'it has llama-server, vllm, sim'],
    [
      'without the source',
      { sourceOn: { found: ['b'], missing: ['a'] } },
      {},
      'source_missing',
      'put it there',
    ],
    ['not yet asked', { sourceOn: { found: ['b'], missing: [] } }, {}, 'source_unknown', 'not yet said'],
    ['of another kind', {}, { devices: [aCpu()] }, 'device_kind', 'has only cpu'],
    ['broken', {}, { devices: [aGpu({ healthy: false, problem: 'XID 79' })] }, 'device_unhealthy', 'XID 79'],
    [
      'full of ports',
      {},
      { enginePorts: { first: 20_000, last: 20_000 }, takenPorts: [20_000] },
      'no_port',
      '20000 to 20000',
    ],
    [
      'full',
      { ...anAsk({ bytes: 30 * GIB }) },
      {},
      'memory',
      'needs 30GiB on a cuda device; GPU-0 (NVIDIA L4) has 24GiB of 24GiB free; it never fits there',
    ],
  ]
  test.each(cases)('names the reason and the remedy when a node is %s', (_, ask, node, reason, text) => {
    const rejections = rejectionsOf(anAsk(ask), [aNode(node)])
    expect(rejections).toHaveLength(1)
    expect(rejections[0]).toMatchObject({ node: 'a', reason })
    expect(rejections[0]?.message).toContain(text)
  })

  test('names all that rules a node out', () => {
    const node = aNode({ cordoned: true, engines: [] })
    expect(rejectionsOf(anAsk(), [node]).map(({ reason }) => reason)).toEqual(['cordoned', 'engine_missing'])
  })

  test('gives the numbers and what would have to go', () => {
    const placements = [aPlacement({ bytesPerDevice: 20 * GIB })]
    const node = aNode({ devices: [aGpu({ memoryUsedBytes: GIB }), aCpu()] })
    expect(rejectionsOf(anAsk(), [node], { placements })).toEqual([
      {
        node: 'a',
        device: 'GPU-0',
        reason: 'memory',
        needBytes: 8 * GIB,
        haveBytes: 3 * GIB,
        message:
          'needs 8GiB on a cuda device; GPU-0 (NVIDIA L4) has 3GiB of 24GiB free (1GiB used by others); it fits when 5GiB of what is placed there goes, or with a smaller context or quantization that needs at most 3GiB',
      },
    ])
  })

  test('names the replicas of the same model whose leaving would make room', () => {
    const placements = [
      aPlacement({ replica: 'chat-old-1', model: 'chat', bytesPerDevice: 20 * GIB }),
      aPlacement({ replica: 'chat-old-2', model: 'chat', deviceIds: ['GPU-1'], bytesPerDevice: 2 * GIB }),
      aPlacement({ deviceIds: ['GPU-1'], bytesPerDevice: 20 * GIB }),
    ]
    const nodes = [aNode({ devices: [aGpu(), aGpu({ id: 'GPU-1' }), aCpu()] })]
    expect(rejectionsOf(anAsk(), nodes, { placements })).toMatchObject([
      { reason: 'memory', freedBy: ['chat-old-1'] },
    ])
  })

  test('is empty only when there is no node', () => {
    expect(plan([anAsk()], []).unplaced).toEqual([{ replica: 'chat-1', rejections: [] }])
  })
})

const gibs = (max: number) => fc.integer({ min: 0, max }).map((count) => count * GIB)
const kind = fc.constantFrom('cuda' as const, 'rocm' as const, 'cpu' as const)

const nodeArbitrary = (name: string): fc.Arbitrary<NodeView> =>
  fc
    .record({
      gpus: fc.array(
        fc.record({
          kind: fc.constantFrom('cuda' as const, 'rocm' as const),
          model: fc.constantFrom('L4', 'H100'),
          memoryBytes: gibs(32),
          memoryUsedBytes: fc.option(gibs(8), { nil: 0 }),
          healthy: fc.integer({ min: 0, max: 3 }).map((value) => value > 0),
        }),
        { maxLength: 4 },
      ),
      hostBytes: fc.option(gibs(16), { nil: undefined }),
      cordoned: fc.integer({ min: 0, max: 3 }).map((value) => value === 0),
      ready: fc.integer({ min: 0, max: 3 }).map((value) => value > 0),
      zone: fc.constantFrom('x', 'y'),
      engines: fc.constantFrom(['vllm', 'sim'], ['vllm', 'sim'], ['sim']),
      last: fc.integer({ min: 20_001, max: 20_009 }),
      takenPorts: fc.constantFrom([], [20_001]),
      occupancy: fc.array(
        fc.record({
          replica: fc.constantFrom('p-0', 'p-1', `ghost-${name}`),
          deviceIds: fc.subarray(['GPU-0', 'GPU-1', 'cpu']),
          bytesPerDevice: gibs(4),
          hostMemoryBytes: gibs(2),
          port: fc.integer({ min: 20_000, max: 20_004 }),
        }),
        { maxLength: 2 },
      ),
    })
    .map(({ gpus, hostBytes, zone, last, ...rest }) => ({
      ...rest,
      name,
      labels: { zone },
      enginePorts: { first: 20_000, last },
      devices: [
        ...gpus.map((gpu, index) => ({ ...gpu, id: `GPU-${index}` })),
        ...(hostBytes === undefined ? [] : [aCpu({ memoryBytes: hostBytes })]),
      ],
    }))

const clusterArbitrary: fc.Arbitrary<ClusterView> = fc
  .tuple(
    fc.tuple(...['a', 'b', 'c'].map(nodeArbitrary)).chain((nodes) => fc.subarray(nodes)),
    fc.array(
      fc.record({
        node: fc.constantFrom('a', 'b', 'removed'),
        deviceIds: fc.subarray(['GPU-0', 'GPU-1', 'cpu']),
        bytesPerDevice: gibs(6),
        hostMemoryBytes: gibs(2),
        port: fc.integer({ min: 20_000, max: 20_004 }),
        model: fc.constantFrom('m0', 'm1'),
      }),
      { maxLength: 3 },
    ),
  )
  .map(([nodes, placements]) =>
    frozen({
      nodes,
      placements: placements.map((one, index) => aPlacement({ ...one, replica: `p-${index}` })),
    }),
  )

const asksArbitrary: fc.Arbitrary<readonly ReplicaAsk[]> = fc
  .array(
    fc.record({
      model: fc.constantFrom('m0', 'm1'),
      engine: fc.constantFrom('vllm', 'sim'),
      kinds: fc.uniqueArray(kind, { maxLength: 2 }),
      devices: fc.integer({ min: 1, max: 3 }),
      bytes: gibs(20),
      hostMemoryBytes: gibs(4),
      strategy: fc.constantFrom('spread' as const, 'pack' as const),
      priority: fc.integer({ min: 0, max: 1 }),
      createdAtMs: fc.integer({ min: 0, max: 2 }),
      nodeSelector: fc.constantFrom<Record<string, string>>({}, { zone: 'x' }),
      avoidNodes: fc.subarray(['a', 'b']),
      sourceOn: fc.option(fc.record({ found: fc.subarray(['a', 'b', 'c']), missing: fc.constant([]) }), {
        nil: undefined,
      }),
    }),
    { maxLength: 12 },
  )
  .map((asks) =>
    frozen(
      asks.map(({ kinds, devices, bytes, hostMemoryBytes, sourceOn, ...rest }, index) =>
        anAsk({
          ...rest,
          ...(sourceOn === undefined ? {} : { sourceOn }),
          replica: `r-${index}`,
          footprint: {
            deviceKinds: kinds,
            devices: kinds.length === 0 ? 0 : devices,
            bytesPerDevice: kinds.length === 0 ? 0 : bytes,
            hostMemoryBytes,
            parts: [],
          },
        }),
      ),
    ),
  )

describe('properties', () => {
  const holds = (
    check: (asks: readonly ReplicaAsk[], cluster: ClusterView, result: ReturnType<typeof schedule>) => void,
  ) =>
    fc.assert(
      fc.property(asksArbitrary, clusterArbitrary, fc.nat(), (asks, cluster, seed) => {
        check(asks, cluster, schedule(asks, cluster, randomFrom(seed)))
      }),
      { numRuns: 500 },
    )

  test('each ask is answered exactly once', () => {
    holds((asks, _, { placed, unplaced }) => {
      const answered = [...placed, ...unplaced].map(({ replica }) => replica).sort()
      expect(answered).toEqual(asks.map(({ replica }) => replica).sort())
    })
  })

  test('no device that took something holds more than it has', () => {
    holds((_, { nodes, placements }, { placed }) => {
      for (const node of nodes) {
        const found = node.occupancy.filter(
          (one) =>
            !placements.some((planned) => planned.node === node.name && planned.replica === one.replica),
        )
        const planned = [...placements, ...placed].filter((one) => one.node === node.name)
        const host = node.devices.find((device) => device.kind === 'cpu')
        for (const device of node.devices) {
          const isHost = device === host
          const touched = placed.some(
            (one) =>
              one.node === node.name &&
              (one.deviceIds.includes(device.id) || (isHost && one.hostMemoryBytes > 0)),
          )
          if (!touched) continue
          const usedBytes = [...planned, ...found].reduce(
            (sum, one) =>
              sum +
              (one.deviceIds.includes(device.id) ? one.bytesPerDevice : 0) +
              (isHost ? one.hostMemoryBytes : 0),
            0,
          )
          expect(usedBytes).toBeLessThanOrEqual(device.memoryBytes)
        }
      }
    })
  })

  test('no port is given twice on a node, nor one that somebody has', () => {
    holds((_, { nodes, placements }, { placed }) => {
      for (const node of nodes) {
        const given = placed.filter((one) => one.node === node.name).map(({ port }) => port)
        const had = [
          ...node.takenPorts,
          ...node.occupancy.map(({ port }) => port),
          ...placements.filter((one) => one.node === node.name).map(({ port }) => port),
        ]
        expect(new Set(given).size).toBe(given.length)
        for (const port of given) {
          expect(had).not.toContain(port)
          expect(port >= node.enginePorts.first && port <= node.enginePorts.last).toBe(true)
        }
      }
    })
  })

  test('whatever may not be used is not used', () => {
    holds((asks, { nodes }, { placed }) => {
      for (const one of placed) {
        const ask = asks.find(({ replica }) => replica === one.replica)!
        const node = nodes.find(({ name }) => name === one.node)!
        expect(node).toMatchObject({ cordoned: false, ready: true })
        expect(node.engines).toContain(ask.engine)
        expect(ask.avoidNodes).not.toContain(node.name)
        expect(node.labels).toMatchObject(ask.nodeSelector)
        if (ask.sourceOn) expect(ask.sourceOn.found).toContain(node.name)
        const devices = one.deviceIds.map((id) => node.devices.find((device) => device.id === id)!)
        expect(devices).toHaveLength(ask.footprint.devices)
        expect(new Set(one.deviceIds).size).toBe(ask.footprint.devices)
        expect(new Set(devices.map((device) => `${device.kind} ${device.model}`)).size).toBeLessThanOrEqual(1)
        for (const device of devices) {
          expect(device.healthy).toBe(true)
          expect(ask.footprint.deviceKinds).toContain(device.kind)
        }
      }
    })
  })

  test('an ask without a place has a reason for every node', () => {
    holds((_, { nodes }, { unplaced }) => {
      for (const { rejections } of unplaced) {
        expect(new Set(rejections.map(({ node }) => node))).toEqual(new Set(nodes.map(({ name }) => name)))
        for (const { message } of rejections) expect(message.length).toBeGreaterThan(10)
      }
    })
  })

  test('a replica named as being in the way makes room by leaving', () => {
    holds((asks, cluster, { placed, unplaced }) => {
      for (const { replica, rejections } of unplaced) {
        const ask = asks.find((one) => one.replica === replica)!
        for (const name of rejections.flatMap(({ freedBy }) => freedBy ?? [])) {
          const all = [...cluster.placements, ...placed.map((one) => aPlacement(one))]
          const gone = all.filter((one) => one.replica !== name)
          expect(gone.length).toBe(all.length - 1)
          const nodes = cluster.nodes.map((node) => {
            const left = node.occupancy.filter((one) => one.replica !== name)
            const freed = (id: string) =>
              node.occupancy
                .filter((one) => one.replica === name && one.deviceIds.includes(id))
                .reduce((sum, one) => sum + one.bytesPerDevice, 0)
            const devices = node.devices.map((device) =>
              device.memoryUsedBytes === undefined
                ? device
                : { ...device, memoryUsedBytes: Math.max(0, device.memoryUsedBytes - freed(device.id)) },
            )
            return { ...node, occupancy: left, devices }
          })
          expect(schedule([ask], { nodes, placements: gone }, () => 0).placed).toHaveLength(1)
        }
      }
    })
  })

  test('the same input and generator give the same plan', () => {
    fc.assert(
      fc.property(asksArbitrary, clusterArbitrary, fc.nat(), (asks, cluster, seed) => {
        expect(schedule(asks, cluster, randomFrom(seed))).toEqual(schedule(asks, cluster, randomFrom(seed)))
      }),
    )
  })

  test('whether one ask fits does not hang on the order of nodes, devices and placements', () => {
    fc.assert(
      fc.property(asksArbitrary, clusterArbitrary, (asks, { nodes, placements }) => {
        const [ask] = asks
        if (ask === undefined) return
        const turned = {
          nodes: nodes.map((node) => ({ ...node, devices: [...node.devices].reverse() })).reverse(),
          placements: [...placements].reverse(),
        }
        const fits = (cluster: ClusterView) => schedule([ask], cluster, () => 0).placed.length
        expect(fits(turned)).toBe(fits({ nodes, placements }))
      }),
    )
  })

  test('the order of asks does not change the plan', () => {
    fc.assert(
      fc.property(asksArbitrary, clusterArbitrary, (asks, cluster) => {
        expect(schedule([...asks].reverse(), cluster, () => 0).placed).toEqual(
          schedule(asks, cluster, () => 0).placed,
        )
      }),
    )
  })
})
