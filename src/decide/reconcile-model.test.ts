import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Rejection } from '../domain/model.ts'
import { aModel, aReplica, frozen, GIB, NOW_MS, type ReplicaOptions } from './decide.testing.ts'
import type { ModelAction, ModelView, ReplicaView } from './model-view.ts'
import { NODE_LOST_GRACE_MS, ROLLOUT_NO_ROOM_MS, reconcileModel, suspectSelf } from './reconcile-model.ts'
import { nodesToAvoid, REPLACE_AFTER_MS, REPLACE_FAILED, STABLE_MS } from './replacement.ts'

function viewOf(wanted: number, replicas: readonly ReplicaView[], over: Partial<ModelView> = {}): ModelView {
  return frozen({
    model: aModel({ replicas: wanted }),
    revision: 'chat-new',
    replicas,
    suspectSelf: false,
    ...over,
  })
}

function decide(wanted: number, replicas: readonly ReplicaView[], over: Partial<ModelView> = {}) {
  return reconcileModel(viewOf(wanted, replicas, over), NOW_MS)
}

/** Actions as `verb name (reason)`. */
function brief(actions: readonly ModelAction[]): string[] {
  return actions.map((action) => {
    if (action.kind === 'remove_model') return 'remove_model'
    return `${action.kind} ${action.kind === 'create' ? action.revision : action.replica} (${action.reason})`
  })
}

const ready = (name: string, options: ReplicaOptions = {}) => aReplica(name, { phase: 'ready', ...options })
const old = (name: string, options: ReplicaOptions = {}) => ready(name, { revision: 'chat-old', ...options })
const failed = (name: string, failure: ReplicaOptions['failure'] = {}, options: ReplicaOptions = {}) =>
  aReplica(name, { phase: 'failed', failure, ...options })

const noRoom = (freedBy: string[] = []): Rejection[] => [
  {
    node: 'a',
    device: 'GPU-0',
    reason: 'memory',
    message: 'needs 8GiB',
    needBytes: 8 * GIB,
    haveBytes: GIB,
    freedBy,
  },
]

describe('the number of replicas', () => {
  test('is reached by making them', () => {
    const { actions, status } = decide(2, [])
    expect(brief(actions)).toEqual(['create chat-new (scale_up)', 'create chat-new (scale_up)'])
    expect(status).toEqual({
      name: 'chat',
      observedGeneration: 3,
      phase: 'pending',
      desiredReplicas: 2,
      readyReplicas: 0,
      updatedReplicas: 0,
      revision: 'chat-new',
      reason: 'scheduling',
      message: '0 of 2 replicas are ready',
      rejections: [],
    })
  })

  test('is kept', () => {
    const { actions, status, wakeAtMs } = decide(2, [ready('r-1'), ready('r-2')])
    expect(actions).toEqual([])
    expect(wakeAtMs).toBeUndefined()
    expect(status).toMatchObject({ phase: 'ready', readyReplicas: 2, updatedReplicas: 2 })
    expect(status.reason).toBeUndefined()
  })

  test('is reached from above by giving up what serves least, then what is on a node that goes, then the newest', () => {
    const replicas = [
      ready('r-1', { createdAtMs: NOW_MS - 4 }),
      ready('r-2', { createdAtMs: NOW_MS - 3, nodeCordoned: true }),
      ready('r-3', { createdAtMs: NOW_MS - 2 }),
      aReplica('r-4', { phase: 'starting', createdAtMs: NOW_MS - 9 }),
    ]
    const order = [3, 2, 1].map((wanted) => brief(decide(wanted, replicas).actions).at(-1))
    expect(order).toEqual(['stop r-4 (scale_down)', 'stop r-2 (scale_down)', 'stop r-3 (scale_down)'])
  })

  test('that is given up without ever being placed is forgotten at once', () => {
    expect(brief(decide(1, [ready('r-1'), aReplica('r-2')]).actions)).toEqual(['forget r-2 (scale_down)'])
  })

  test('is restored after somebody stopped one', () => {
    const draining = ready('r-2', { intent: 'stop', phase: 'draining' })
    expect(brief(decide(2, [ready('r-1'), draining]).actions)).toEqual(['create chat-new (replace_stopped)'])
  })

  test('of zero stops all, and says when all have', () => {
    const stopping = decide(0, [ready('r-1'), aReplica('r-2')])
    expect(brief(stopping.actions)).toEqual(['stop r-1 (unload)', 'forget r-2 (unload)'])
    expect(stopping.status).toMatchObject({
      phase: 'progressing',
      reason: 'stopping',
      message: 'waiting for 1 replica to end',
    })
    expect(decide(0, []).status).toMatchObject({ phase: 'stopped', desiredReplicas: 0 })
  })

  test('forgets those that stopped as asked', () => {
    const stopped = aReplica('r-1', { intent: 'stop', phase: 'stopped' })
    expect(brief(decide(0, [stopped]).actions)).toEqual(['forget r-1 (stopped)'])
  })
})

describe('a service that somebody else runs', () => {
  const model = aModel({ engine: 'external', source: 'https://example.com/v1', replicas: 1 })

  test('serves as soon as it is wanted', () => {
    const { actions, status } = decide(1, [aReplica('r-1')], { model })
    expect(actions).toEqual([])
    expect(status).toMatchObject({ phase: 'ready', readyReplicas: 1, updatedReplicas: 1 })
  })

  test('goes on under its old terms until the new ones hold, and ends at once', () => {
    const was = aReplica('o-1', { revision: 'chat-old' })
    expect(brief(decide(1, [was], { model }).actions)).toEqual(['create chat-new (rollout)'])
    expect(brief(decide(1, [was, aReplica('r-1')], { model }).actions)).toEqual(['forget o-1 (rollout)'])
  })

  test('takes the place of a model of ours at once', () => {
    const was = [old('o-1', { node: 'a' }), aReplica('n-1')]
    expect(brief(decide(1, was, { model }).actions)).toEqual(['stop o-1 (rollout)'])
  })

  test('serves until a model of ours takes its place', () => {
    const was = aReplica('o-1', { revision: 'chat-old', unmanaged: true })
    expect(decide(1, [was, aReplica('n-1', { phase: 'starting' })]).actions).toEqual([])
    expect(brief(decide(1, [was, ready('n-1')]).actions)).toEqual(['forget o-1 (rollout)'])
  })
})

describe('a deleted model', () => {
  const deleted = { model: aModel({ replicas: 2 }, { deletedAtMs: NOW_MS }) }

  test('stops its replicas, then goes itself', () => {
    const first = decide(2, [ready('r-1'), failed('r-2')], deleted)
    expect(brief(first.actions)).toEqual(['stop r-1 (model_deleted)', 'forget r-2 (model_deleted)'])
    expect(first.status).toMatchObject({ phase: 'deleting', desiredReplicas: 0 })
    const last = decide(2, [aReplica('r-1', { intent: 'stop', phase: 'stopped' })], deleted)
    expect(brief(last.actions)).toEqual(['forget r-1 (stopped)', 'remove_model'])
    expect(brief(decide(2, [], deleted).actions)).toEqual(['remove_model'])
  })
})

describe('a rollout', () => {
  test('makes one new replica before it stops an old one', () => {
    const { actions, status } = decide(2, [old('o-1'), old('o-2')])
    expect(brief(actions)).toEqual(['create chat-new (rollout)'])
    expect(status).toMatchObject({
      phase: 'progressing',
      reason: 'rollout',
      message: '0 of 2 replicas run chat-new; 2 run an older revision',
      readyReplicas: 2,
      updatedReplicas: 0,
    })
  })

  test('waits until the new one is ready', () => {
    const replicas = [old('o-1'), old('o-2'), aReplica('n-1', { phase: 'starting' })]
    expect(decide(2, replicas).actions).toEqual([])
  })

  test('then stops an old one and makes the next', () => {
    expect(brief(decide(2, [old('o-1'), old('o-2'), ready('n-1')]).actions)).toEqual([
      'stop o-2 (rollout)',
      'create chat-new (rollout)',
    ])
  })

  test('ends with the last old one', () => {
    expect(brief(decide(1, [old('o-1'), ready('n-1')]).actions)).toEqual(['stop o-1 (rollout)'])
    const ending = old('o-1', { intent: 'stop', phase: 'draining' })
    expect(decide(1, [ending, ready('n-1')]).status).toMatchObject({ phase: 'ready' })
  })

  test('does not keep old ones that never served', () => {
    const replicas = [aReplica('o-1', { revision: 'chat-old', phase: 'starting' })]
    expect(brief(decide(1, replicas).actions)).toEqual(['stop o-1 (rollout)', 'create chat-new (rollout)'])
  })

  test('keeps old ones of which nobody knows whether they serve', () => {
    const lost = old('o-1', { nodeLostSinceMs: NOW_MS - 1 })
    expect(brief(decide(1, [lost]).actions)).toEqual(['create chat-new (rollout)'])
    const many = [lost, old('o-2', { nodeLostSinceMs: NOW_MS - 1e6 })]
    expect(brief(decide(2, many, { suspectSelf: true }).actions)).toEqual(['create chat-new (rollout)'])
  })

  test('of a revision that fails leaves the old one serving and says why', () => {
    const broken = failed('n-1', { reason: 'bad_argument', message: 'unknown flag', retryable: false })
    const { actions, status } = decide(2, [old('o-1'), old('o-2'), broken])
    expect(actions).toEqual([])
    expect(status).toMatchObject({
      phase: 'degraded',
      reason: 'bad_argument',
      message: 'n-1 on a: unknown flag',
      readyReplicas: 2,
      updatedReplicas: 0,
    })
  })

  test('back from a revision that failed forgets it at once', () => {
    const broken = failed('b-1', { retryable: false }, { revision: 'chat-bad' })
    expect(brief(decide(1, [ready('n-1'), broken]).actions)).toEqual(['forget b-1 (rollout)'])
  })

  describe('without room', () => {
    const stuck = (freedBy: string[], ageMs: number) =>
      aReplica('n-1', { createdAtMs: NOW_MS - ageMs, rejections: noRoom(freedBy) })

    test('waits a minute for some', () => {
      const { actions, status, wakeAtMs } = decide(1, [old('o-1'), stuck(['o-1'], 1000)])
      expect(actions).toEqual([])
      expect(wakeAtMs).toBe(NOW_MS - 1000 + ROLLOUT_NO_ROOM_MS)
      expect(status).toMatchObject({ phase: 'progressing', reason: 'rollout_no_room', readyReplicas: 1 })
      expect(status.rejections).toHaveLength(1)
    })

    test('then stops the one old replica whose leaving makes some', () => {
      const replicas = [old('o-1'), old('o-2'), stuck(['o-1'], ROLLOUT_NO_ROOM_MS)]
      expect(brief(decide(2, replicas).actions)).toEqual(['stop o-1 (rollout_no_room)'])
    })

    test('stops nothing when no single replica makes room by leaving', () => {
      expect(decide(1, [old('o-1'), stuck([], 1e6)])).toMatchObject({
        actions: [],
        status: { phase: 'progressing', reason: 'rollout_no_room', readyReplicas: 1 },
      })
    })

    test('stops no second one before the first is replaced', () => {
      const stopping = old('o-1', { intent: 'stop', phase: 'draining' })
      expect(decide(2, [stopping, old('o-2'), stuck(['o-1', 'o-2'], 1e6)]).actions).toEqual([])
      expect(
        decide(2, [old('o-2'), stuck(['o-2'], 1e6), aReplica('n-2', { phase: 'starting' })]).actions,
      ).toEqual([])
    })

    test('lets the scheduler look again when one that was in the way has gone', () => {
      expect(decide(2, [old('o-2'), old('o-3'), stuck(['o-1', 'o-2'], 1e6)]).actions).toEqual([])
    })

    test('prefers to stop one that does not serve', () => {
      const shaky = aReplica('o-2', { revision: 'chat-old', phase: 'unhealthy' })
      const replicas = [old('o-1'), shaky, stuck(['o-1', 'o-2'], ROLLOUT_NO_ROOM_MS)]
      expect(brief(decide(2, replicas).actions)).toEqual(['stop o-2 (rollout_no_room)'])
    })
  })
})

describe('a lost node', () => {
  const lostFor = (ms: number) => ready('r-1', { nodeLostSinceMs: NOW_MS - ms })

  test('gets its grace', () => {
    const { actions, status, wakeAtMs } = decide(2, [lostFor(1000), ready('r-2')])
    expect(actions).toEqual([])
    expect(wakeAtMs).toBe(NOW_MS - 1000 + NODE_LOST_GRACE_MS)
    expect(status).toMatchObject({
      phase: 'degraded',
      reason: 'node_lost',
      message: 'no report from a',
      readyReplicas: 1,
    })
  })

  test('then loses its replicas to others', () => {
    expect(brief(decide(2, [lostFor(NODE_LOST_GRACE_MS), ready('r-2')]).actions)).toEqual([
      'forget r-1 (node_lost)',
      'create chat-new (replace_lost)',
    ])
    expect(brief(reconcileModel(viewOf(1, [lostFor(500)]), NOW_MS, 500).actions)).toEqual([
      'forget r-1 (node_lost)',
      'create chat-new (replace_lost)',
    ])
  })

  test('keeps them when the fault is likely ours', () => {
    const { actions, status, wakeAtMs } = decide(1, [lostFor(1e9)], { suspectSelf: true })
    expect(actions).toEqual([])
    expect(wakeAtMs).toBeUndefined()
    expect(status).toMatchObject({ phase: 'degraded', reason: 'suspect_self' })
  })

  test('that was removed loses them at once', () => {
    expect(brief(decide(1, [ready('r-1', { nodeGone: true })], { suspectSelf: true }).actions)).toEqual([
      'forget r-1 (node_gone)',
      'create chat-new (replace_lost)',
    ])
  })

  test('ends a stop that it can no longer report', () => {
    const stopping = ready('r-1', { intent: 'stop', nodeLostSinceMs: NOW_MS - NODE_LOST_GRACE_MS })
    expect(brief(decide(0, [stopping]).actions)).toEqual(['forget r-1 (node_lost)'])
  })
})

test.each([
  [0, 0, false],
  [1, 1, false],
  [2, 2, true],
  [2, 3, true],
  [2, 4, false],
  [3, 4, true],
  [50, 100, false],
  [51, 100, true],
])('%d lost of %d known nodes: suspect self is %s', (lost, known, suspects) => {
  expect(suspectSelf(lost, known)).toBe(suspects)
})

describe('a failed replica', () => {
  const broken = { reason: 'missing_file', message: '/m/x.gguf is not there', retryable: false }

  test('that cannot succeed fails its model, and nothing is made in its place', () => {
    const { actions, status, wakeAtMs } = decide(1, [failed('r-1', broken)])
    expect(actions).toEqual([])
    expect(wakeAtMs).toBeUndefined()
    expect(status).toMatchObject({
      phase: 'failed',
      reason: 'missing_file',
      message: 'r-1 on a: /m/x.gguf is not there',
    })
  })

  test('degrades a model that serves, and leaves one that may yet serve its chance', () => {
    expect(decide(2, [failed('r-1', broken), ready('r-2')]).status).toMatchObject({ phase: 'degraded' })
    expect(decide(2, [failed('r-1', broken), aReplica('r-2', { phase: 'starting' })]).status).toMatchObject({
      phase: 'progressing',
      reason: 'missing_file',
    })
  })

  test('that may succeed is replaced once, after a wait', () => {
    const young = failed('r-1', { reason: 'exited' }, { sinceMs: NOW_MS - 1 })
    const waiting = decide(1, [young])
    expect(waiting.actions).toEqual([])
    expect(waiting.wakeAtMs).toBe(NOW_MS - 1 + REPLACE_AFTER_MS)
    expect(waiting.status).toMatchObject({ phase: 'progressing', reason: 'exited' })
    const due = failed('r-1', { reason: 'exited' }, { sinceMs: NOW_MS - REPLACE_AFTER_MS })
    expect(brief(decide(1, [due]).actions)).toEqual([
      'forget r-1 (replaced)',
      `create chat-new (${REPLACE_FAILED})`,
    ])
  })

  test('that was itself a replacement is not replaced again, unless it had lasted', () => {
    const createdAtMs = NOW_MS - STABLE_MS - REPLACE_AFTER_MS
    const again = { reason: REPLACE_FAILED, createdAtMs }
    const soon = failed('r-2', {}, { ...again, sinceMs: createdAtMs + STABLE_MS - 1 })
    expect(decide(1, [soon])).toMatchObject({ actions: [], status: { phase: 'failed', reason: 'exited' } })
    const lasted = failed('r-2', {}, { ...again, sinceMs: createdAtMs + STABLE_MS })
    expect(brief(decide(1, [lasted]).actions)).toContain(`create chat-new (${REPLACE_FAILED})`)
  })

  test('of a port in use is replaced at once: the next one gets another port', () => {
    const unlucky = failed('r-1', { reason: 'port_in_use', message: 'port 20000 is in use' })
    expect(brief(decide(1, [unlucky]).actions)).toContain(`create chat-new (${REPLACE_FAILED})`)
  })

  test('of a device fault is replaced at once, and remembered so that its node is avoided', () => {
    const faulty = failed('r-1', { reason: 'device_fault', message: 'XID 79', retryable: false })
    const { actions } = decide(1, [faulty])
    expect(brief(actions)).toEqual([`create chat-new (${REPLACE_FAILED})`])
    expect(nodesToAvoid([faulty, ready('r-3', { node: 'b' })])).toEqual(['a'])
    const replacement = aReplica('r-2', { node: 'b', phase: 'starting', reason: REPLACE_FAILED })
    expect(decide(1, [faulty, replacement])).toMatchObject({
      actions: [],
      status: { phase: 'progressing', reason: 'device_fault' },
    })
    expect(brief(decide(1, [faulty, ready('r-2', { node: 'b' })]).actions)).toEqual(['forget r-1 (replaced)'])
  })

  test('of anything that the engine blames on its device is treated like a device fault', () => {
    const lost = failed('r-1', {
      reason: 'device_missing',
      message: 'GPU-0 is gone',
      retryable: false,
      deviceFault: true,
    })
    expect(brief(decide(1, [lost]).actions)).toEqual([`create chat-new (${REPLACE_FAILED})`])
    expect(nodesToAvoid([lost])).toEqual(['a'])
  })

  test('of a device fault that follows its model to the next node fails the model', () => {
    const fault = { reason: 'device_fault', message: 'XID 79', retryable: false }
    const second = failed('r-2', fault, { node: 'b', reason: REPLACE_FAILED })
    const { actions, status } = decide(1, [failed('r-1', fault), second])
    expect(actions).toEqual([])
    expect(status).toMatchObject({ phase: 'failed', reason: 'device_fault', message: 'r-2 on b: XID 79' })
  })

  test('is the first to go when fewer are wanted', () => {
    expect(brief(decide(1, [ready('r-1'), failed('r-2', broken)]).actions)).toEqual([
      'forget r-2 (scale_down)',
    ])
  })

  test('keeps its record while its node is lost', () => {
    expect(decide(1, [failed('r-1', broken, { nodeLostSinceMs: 0 })])).toMatchObject({
      actions: [],
      status: { phase: 'failed' },
    })
  })
})

describe('what is told', () => {
  test('of a replica that nothing has room for is why', () => {
    const { status } = decide(2, [ready('r-1'), aReplica('r-2', { rejections: noRoom() })])
    expect(status).toMatchObject({
      phase: 'degraded',
      reason: 'nothing_fits',
      message: 'no place for 1 of 2 replicas: needs 8GiB',
      rejections: noRoom(),
    })
    expect(decide(1, [aReplica('r-1', { rejections: noRoom() })]).status.phase).toBe('pending')
    expect(decide(1, [aReplica('r-1', { rejections: [] })]).status.message).toContain('there is no node')
    const several: Rejection[] = [...noRoom(), { node: 'b', reason: 'cordoned', message: 'b is cordoned' }]
    expect(decide(1, [aReplica('r-1', { rejections: several })]).status.message).toBe(
      'no place for 1 of 1 replica: none of 2 nodes can take it (cordoned, memory)',
    )
  })

  test.each([
    [{ phase: 'pulling' }, 'progressing', 'pulling'],
    [{ phase: 'starting' }, 'progressing', 'starting'],
    [{ node: 'a' }, 'progressing', 'starting'],
    [{}, 'pending', 'scheduling'],
    [{ phase: 'starting', restarts: 2 }, 'progressing', 'restarting'],
    [
      { phase: 'starting', restarts: 2, failure: { reason: 'out_of_memory' } },
      'progressing',
      'out_of_memory',
    ],
    [{ phase: 'unhealthy' }, 'degraded', 'unhealthy'],
    [{ phase: 'draining' }, 'degraded', 'draining'],
  ] as const)('of one replica like %o is %s, %s', (options, phase, reason) => {
    expect(decide(1, [aReplica('r-1', options)]).status).toMatchObject({ phase, reason })
  })

  test('of a model that nothing can be made for is what blocks it', () => {
    const blocked = { reason: 'footprint_unknown', message: 'state --memory', final: true }
    expect(decide(1, [], { blocked })).toMatchObject({
      actions: [],
      status: { phase: 'failed', reason: 'footprint_unknown', message: 'state --memory' },
    })
    expect(decide(1, [], { blocked: { ...blocked, final: false } }).status.phase).toBe('pending')
    expect(decide(1, [old('o-1')], { blocked })).toMatchObject({ actions: [], status: { phase: 'degraded' } })
    expect(decide(1, [ready('r-1')], { blocked }).status.phase).toBe('ready')
    const coming = aReplica('o-1', { revision: 'chat-old', phase: 'starting' })
    expect(decide(1, [coming], { blocked }).actions).toEqual([])
  })
})

/** The view once the actions are done and nothing else has happened. */
function applied(view: ModelView, actions: readonly ModelAction[], nowMs: number): ModelView {
  const gone = new Set(actions.flatMap((action) => (action.kind === 'forget' ? [action.replica] : [])))
  const stopped = new Map(
    actions.flatMap((action) => (action.kind === 'stop' ? [[action.replica, action.reason] as const] : [])),
  )
  const kept = view.replicas
    .filter(({ replica }) => !gone.has(replica.name))
    .map((one): ReplicaView => {
      const reason = stopped.get(one.replica.name)
      return reason === undefined
        ? one
        : { ...one, replica: { ...one.replica, intent: 'stop', reason, stopAtMs: nowMs } }
    })
  const made = actions
    .filter((action) => action.kind === 'create')
    .map(({ revision, reason }, index) =>
      aReplica(`made-${nowMs}-${index}`, { revision, reason, createdAtMs: nowMs }),
    )
  return frozen({ ...view, replicas: [...kept, ...made] })
}

const phases = [
  'pending',
  'pulling',
  'starting',
  'ready',
  'unhealthy',
  'draining',
  'stopped',
  'failed',
] as const
const optional = <Value>(value: Value, weight = 3) =>
  fc.integer({ min: 0, max: weight }).map((roll) => (roll === 0 ? value : undefined))

const replicaArbitrary = fc
  .record({
    revision: fc.constantFrom('chat-new', 'chat-new', 'chat-old', 'chat-older'),
    intent: fc.constantFrom('run' as const, 'run' as const, 'stop' as const),
    reason: fc.constantFrom('scale_up', REPLACE_FAILED),
    ageMs: fc.constantFrom(0, 1_000, ROLLOUT_NO_ROOM_MS, 2 * STABLE_MS),
    phase: fc.option(fc.constantFrom(...phases, 'ready' as const, 'failed' as const), { nil: undefined }),
    sinceAgoMs: fc.constantFrom(0, 1_000, REPLACE_AFTER_MS),
    restarts: fc.nat(2),
    failure: fc.record({
      reason: fc.constantFrom('exited', 'device_fault', 'bad_argument'),
      retryable: fc.boolean(),
    }),
    placed: fc.boolean(),
    nodeLostAgoMs: fc.oneof(optional(NODE_LOST_GRACE_MS), optional(5)),
    nodeGone: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
    freedBy: fc.option(fc.subarray(['r-0', 'r-1', 'r-2', 'r-3']), { nil: undefined }),
  })
  .map(({ ageMs, sinceAgoMs, placed, nodeLostAgoMs, freedBy, phase, failure, ...rest }) => (name: string) => {
    const createdAtMs = NOW_MS - Math.max(ageMs, sinceAgoMs)
    const onNode = phase !== undefined || placed
    return aReplica(name, {
      ...rest,
      createdAtMs,
      ...(phase === undefined ? {} : { phase, sinceMs: NOW_MS - sinceAgoMs }),
      ...(phase === 'failed' ? { failure } : {}),
      ...(onNode ? { node: 'a' } : {}),
      ...(onNode && nodeLostAgoMs !== undefined ? { nodeLostSinceMs: NOW_MS - nodeLostAgoMs } : {}),
      ...(!onNode && freedBy !== undefined ? { rejections: noRoom(freedBy) } : {}),
    })
  })

const viewArbitrary: fc.Arbitrary<ModelView> = fc
  .record({
    wanted: fc.nat(4),
    makers: fc.array(replicaArbitrary, { maxLength: 6 }),
    deleted: fc.integer({ min: 0, max: 9 }).map((roll) => roll === 0),
    suspects: fc.integer({ min: 0, max: 4 }).map((roll) => roll === 0),
    blocked: optional({ reason: 'source_invalid', message: 'x', final: true }, 5),
  })
  .map(({ wanted, makers, deleted, suspects, blocked }) =>
    frozen({
      model: aModel({ replicas: wanted }, deleted ? { deletedAtMs: NOW_MS } : {}),
      revision: 'chat-new',
      replicas: makers.map((make, index) => make(`r-${index}`)),
      suspectSelf: suspects,
      ...(blocked === undefined ? {} : { blocked }),
    }),
  )

const isReady = ({ replica, status, nodeLostSinceMs }: ReplicaView) =>
  replica.intent === 'run' && status?.phase === 'ready' && nodeLostSinceMs === undefined

describe('properties', () => {
  const holds = (check: (view: ModelView, decision: ReturnType<typeof reconcileModel>) => void) =>
    fc.assert(
      fc.property(viewArbitrary, (view) => check(view, reconcileModel(view, NOW_MS))),
      { numRuns: 1000 },
    )

  test('once its actions are done there is nothing more to do, and the same is told', () => {
    holds((view, { actions, status, wakeAtMs }) => {
      if (actions.some(({ kind }) => kind === 'remove_model')) return
      const again = reconcileModel(applied(view, actions, NOW_MS), NOW_MS)
      expect(again.actions).toEqual([])
      expect(again.status).toEqual(status)
      expect(again.wakeAtMs).toEqual(wakeAtMs)
    })
  })

  test('service is taken away only where it is not wanted, or to make room once', () => {
    holds((view, { actions }) => {
      const wanted = view.model.deletedAtMs === undefined ? view.model.spec.replicas : 0
      const before = view.replicas.filter((one) => isReady(one) && !one.nodeGone).length
      const after = applied(view, actions, NOW_MS).replicas.filter(isReady).length
      const forRoom = brief(actions).filter((text) => text.includes('rollout_no_room')).length
      expect(forRoom).toBeLessThanOrEqual(1)
      expect(after).toBeGreaterThanOrEqual(Math.min(before, wanted) - forRoom)
    })
  })

  test('there is never more than one too many because of it', () => {
    holds((view, { actions }) => {
      const running = (list: readonly ReplicaView[]) =>
        list.filter(({ replica, status }) => replica.intent === 'run' && status?.phase !== 'failed').length
      const before = running(view.replicas)
      const after = running(applied(view, actions, NOW_MS).replicas)
      expect(after).toBeLessThanOrEqual(Math.max(before, view.model.spec.replicas + 1))
    })
  })

  test('nothing is made for a model that is blocked, deleted or wants none', () => {
    holds((view, { actions }) => {
      if (!view.blocked && view.model.deletedAtMs === undefined && view.model.spec.replicas > 0) return
      expect(actions.filter(({ kind }) => kind === 'create')).toEqual([])
    })
  })

  test('no replica is given up for a lost node while we suspect ourselves', () => {
    holds((view, { actions }) => {
      if (view.suspectSelf) expect(brief(actions).join()).not.toContain('node_lost')
    })
  })

  test('nothing is done or told differently before the time at which it asks to look again', () => {
    holds((view, { actions, status, wakeAtMs }) => {
      if (actions.length > 0) return
      const untilMs = wakeAtMs ?? NOW_MS + 100 * STABLE_MS
      expect(untilMs).toBeGreaterThan(NOW_MS)
      expect(reconcileModel(view, untilMs - 1)).toEqual({
        actions,
        status,
        ...(wakeAtMs === undefined ? {} : { wakeAtMs }),
      })
    })
  })

  test('the counts told are those of the view that follows', () => {
    holds((view, { actions, status }) => {
      const next = applied(view, actions, NOW_MS).replicas.filter(isReady)
      expect(status.readyReplicas).toBe(next.length)
      expect(status.updatedReplicas).toBe(
        next.filter(({ replica }) => replica.revision === 'chat-new').length,
      )
      expect(status.phase === 'ready').toBe(
        view.model.deletedAtMs === undefined &&
          status.desiredReplicas > 0 &&
          status.updatedReplicas >= status.desiredReplicas &&
          !applied(view, actions, NOW_MS).replicas.some(
            ({ replica }) => replica.intent === 'run' && replica.revision !== 'chat-new',
          ),
      )
    })
  })

  /** Nodes that do as they are told, with room for `slots` replicas. */
  function obey(view: ModelView, slots: number, fate: 'ready' | 'failed', nowMs: number): ModelView {
    let free = slots - view.replicas.filter(({ node }) => node !== undefined).length
    const replicas = view.replicas.map((one): ReplicaView => {
      const { replica } = one
      const options = {
        revision: replica.revision,
        intent: replica.intent,
        reason: replica.reason,
        createdAtMs: replica.createdAtMs,
        sinceMs: nowMs,
      }
      if (one.node === undefined) {
        if (free > 0) {
          free--
          return aReplica(replica.name, { ...options, phase: 'starting' })
        }
        const freedBy = view.replicas.flatMap(({ node, replica: { name } }) =>
          node === undefined ? [] : [name],
        )
        return { ...one, rejections: noRoom(freedBy) }
      }
      if (replica.intent === 'stop') return aReplica(replica.name, { ...options, phase: 'stopped' })
      if (one.status?.phase !== 'starting') return one
      return aReplica(replica.name, {
        ...options,
        phase: fate,
        ...(fate === 'failed' ? { failure: { reason: 'exited' } } : {}),
      })
    })
    return frozen({ ...view, replicas })
  }

  function run(start: ModelView, slots: number, fate: 'ready' | 'failed', steps: number) {
    let view = start
    let nowMs = NOW_MS
    const actions: ModelAction[] = []
    const readyCounts: number[] = []
    for (let step = 0; step < steps; step++) {
      const decision = reconcileModel(view, nowMs)
      actions.push(...decision.actions)
      view = obey(applied(view, decision.actions, nowMs), slots, fate, nowMs)
      readyCounts.push(view.replicas.filter(isReady).length)
      nowMs += 10_000
    }
    return { view, actions, readyCounts, status: reconcileModel(view, nowMs).status }
  }

  test('a world that obeys comes to the wanted count of the new revision, never serving with more than one too few', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 2 }),
        (wanted, before, spare) => {
          const start = viewOf(
            wanted,
            Array.from({ length: before }, (_, index) => old(`o-${index}`)),
          )
          const { view, readyCounts, status } = run(start, Math.max(wanted, before) + spare, 'ready', 120)
          expect(status).toMatchObject({ phase: 'ready', updatedReplicas: wanted })
          expect(view.replicas).toHaveLength(wanted)
          const least = Math.min(wanted, before)
          const floor = spare > 0 || before > wanted ? least : least - 1
          expect(Math.min(...readyCounts)).toBeGreaterThanOrEqual(floor)
        },
      ),
    )
  })

  test('a world where everything fails sees two tries for each replica, then rest', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), (wanted) => {
        const { actions, view, status } = run(viewOf(wanted, []), wanted, 'failed', 300)
        expect(actions.filter(({ kind }) => kind === 'create')).toHaveLength(2 * wanted)
        expect(view.replicas).toHaveLength(wanted)
        expect(status).toMatchObject({ phase: 'failed', reason: 'exited' })
      }),
    )
  })

  test('a deleted model is gone in the end', () => {
    fc.assert(
      fc.property(viewArbitrary, (view) => {
        const deleted = frozen({ ...view, model: { ...view.model, deletedAtMs: NOW_MS } })
        expect(brief(run(deleted, 10, 'ready', 10).actions)).toContain('remove_model')
      }),
    )
  })
})
