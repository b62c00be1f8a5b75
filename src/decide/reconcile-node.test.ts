import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Assignment } from '../domain/replica.ts'
import { anAssignment, frozen, NOW_MS } from './decide.testing.ts'
import {
  type LocalReplica,
  MAX_RESTARTS,
  type NodeAction,
  reconcileNode,
  restartDelayMs,
  restartWindowMs,
} from './reconcile-node.ts'

function local(over: Partial<LocalReplica> = {}): LocalReplica {
  return { replica: 'chat-1', phase: 'ready', sinceMs: NOW_MS, restarts: 0, alive: true, ...over }
}

function decide(
  desired: readonly Assignment[],
  actual: readonly LocalReplica[],
  over: { nowMs?: number; desiredKnown?: boolean } = {},
) {
  return reconcileNode(frozen({ desired, actual, desiredKnown: true, nowMs: NOW_MS, ...over }))
}

const exited = { reason: 'exited', message: 'exit code 1', retryable: true, lastLines: [] }

describe('a replica that is wanted', () => {
  test('is started when it is not there', () => {
    expect(decide([anAssignment()], [])).toEqual({ actions: [{ kind: 'start', replica: 'chat-1' }] })
  })

  test.each(['ready', 'pulling', 'draining', 'stopping', 'failed'] as const)(
    'is left alone while %s',
    (phase) => {
      expect(decide([anAssignment()], [local({ phase, alive: phase !== 'failed' })])).toEqual({ actions: [] })
    },
  )

  test.each(['draining', 'stopping'] as const)(
    'is not started while %s, though its process has ended',
    (phase) => {
      expect(decide([anAssignment()], [local({ phase, alive: false })]).actions).toEqual([])
    },
  )

  test.each(['starting', 'ready', 'unhealthy', 'idle', 'stopped'] as const)(
    'is started again when it ended while %s',
    (phase) => {
      expect(decide([anAssignment()], [local({ phase, alive: false, failure: exited })]).actions).toEqual([
        { kind: 'start', replica: 'chat-1' },
      ])
    },
  )

  describe('and needs what another replica still has', () => {
    const GIB = 1024 ** 3
    const want = anAssignment({ deviceIds: ['g0', 'g1'], bytesPerDevice: 10 * GIB, port: 20_001 })
    const started = { actions: [{ kind: 'start', replica: 'chat-1' }] }
    const deviceBytes = { g0: 24 * GIB, g1: 24 * GIB }
    const beside = (over: Partial<LocalReplica>, holds: Partial<LocalReplica['holds']> = {}) => {
      const held = { deviceIds: ['g1'], bytesPerDevice: 20 * GIB, port: 20_000, ...holds }
      const other = local({ replica: 'old-1', phase: 'stopping', holds: held, ...over })
      return reconcileNode(
        frozen({ desired: [want], actual: [other], desiredKnown: true, deviceBytes, nowMs: NOW_MS }),
      )
    }

    test.each(['pulling', 'starting', 'draining', 'stopping'] as const)('waits while that is %s', (phase) => {
      expect(beside({ phase, alive: phase !== 'pulling' }).actions).not.toContainEqual(started.actions[0])
    })

    test('waits for its port', () => {
      expect(beside({}, { bytesPerDevice: GIB, port: 20_001 }).actions).toEqual([])
    })

    test('is started once that has ended, or when both fit', () => {
      expect(beside({ alive: false, phase: 'stopped' }).actions).toContainEqual(started.actions[0])
      expect(beside({}, { bytesPerDevice: 14 * GIB })).toEqual(started)
      expect(beside({}, { deviceIds: ['g2'] })).toEqual(started)
    })

    test('does not wait for room that no other replica has', () => {
      const tooLarge = anAssignment({ deviceIds: ['g0'], bytesPerDevice: 30 * GIB })
      const input = { desired: [tooLarge], actual: [], desiredKnown: true, deviceBytes, nowMs: NOW_MS }
      expect(reconcileNode(frozen(input))).toEqual(started)
    })
  })

  test('waits for its backoff, and not a millisecond longer', () => {
    const ended = local({ alive: false, failure: exited, retryAtMs: NOW_MS + 10 })
    expect(decide([anAssignment()], [ended])).toEqual({ actions: [], wakeAtMs: NOW_MS + 10 })
    expect(decide([anAssignment()], [ended], { nowMs: NOW_MS + 10 }).actions).toHaveLength(1)
  })

  test('is given up at once when the same start cannot succeed', () => {
    const failure = { ...exited, reason: 'bad_argument', message: 'unknown flag --x', retryable: false }
    expect(
      decide([anAssignment()], [local({ alive: false, failure, retryAtMs: NOW_MS + 10 })]).actions,
    ).toEqual([{ kind: 'fail', replica: 'chat-1', reason: 'bad_argument', message: 'unknown flag --x' }])
  })

  test('is given up at once when its port is taken: only another placement has another port', () => {
    const failure = { reason: 'port_in_use', message: 'port 20000 is in use', retryable: true, lastLines: [] }
    expect(decide([anAssignment()], [local({ phase: 'starting', alive: false, failure })]).actions).toEqual([
      { kind: 'fail', replica: 'chat-1', reason: 'port_in_use', message: 'port 20000 is in use' },
    ])
  })

  test('is given up after so many restarts within the window, with the last reason', () => {
    const restartedAtMs = Array.from({ length: MAX_RESTARTS }, (_, index) => NOW_MS - 1000 * (index + 1))
    const ended = local({ alive: false, restarts: 20, restartedAtMs, failure: exited })
    expect(decide([anAssignment()], [ended]).actions).toEqual([
      {
        kind: 'fail',
        replica: 'chat-1',
        reason: 'exited',
        message: 'given up after 5 restarts: exit code 1',
      },
    ])
    const laterMs = NOW_MS + restartWindowMs(anAssignment())
    expect(decide([anAssignment()], [ended], { nowMs: laterMs }).actions).toEqual([
      { kind: 'start', replica: 'chat-1' },
    ])
  })

  test('is given up after so many restarts in all where nobody noted when', () => {
    const [action] = decide([anAssignment()], [local({ alive: false, restarts: MAX_RESTARTS })]).actions
    expect(action).toMatchObject({ kind: 'fail', reason: 'exited' })
    const before = local({ alive: false, restarts: MAX_RESTARTS - 1 })
    expect(decide([anAssignment()], [before]).actions).toMatchObject([{ kind: 'start' }])
  })

  test('fails when it is not ready in time', () => {
    const assignment = anAssignment({ startTimeoutMs: 5_000 })
    const starting = local({ phase: 'starting' })
    expect(decide([assignment], [starting])).toEqual({ actions: [], wakeAtMs: NOW_MS + 5_000 })
    expect(decide([assignment], [starting], { nowMs: NOW_MS + 5_000 }).actions).toMatchObject([
      { kind: 'fail', reason: 'start_timeout', message: expect.stringContaining('5 s') },
    ])
  })
})

describe('a replica that is to stop', () => {
  const stop = anAssignment({ desired: 'stop' })

  test.each(['ready', 'unhealthy'] as const)('drains first when it is %s', (phase) => {
    expect(decide([stop], [local({ phase })]).actions).toEqual([{ kind: 'drain', replica: 'chat-1' }])
  })

  test('stops at once without a drain timeout', () => {
    const now = anAssignment({ desired: 'stop', drainTimeoutMs: 0 })
    expect(decide([now], [local()]).actions).toEqual([
      { kind: 'stop', replica: 'chat-1', reason: 'stop_wanted' },
    ])
  })

  test('stops when its drain timeout has passed', () => {
    const draining = local({ phase: 'draining', inFlight: 3 })
    expect(decide([stop], [draining])).toEqual({ actions: [], wakeAtMs: NOW_MS + 60_000 })
    expect(decide([stop], [draining], { nowMs: NOW_MS + 60_000 }).actions).toEqual([
      { kind: 'stop', replica: 'chat-1', reason: 'drain_timeout' },
    ])
  })

  test('stops sooner when nothing is in flight, once gateways have heard of it', () => {
    const idle = local({ phase: 'draining', inFlight: 0 })
    expect(decide([stop], [idle])).toEqual({ actions: [], wakeAtMs: NOW_MS + 5_000 })
    expect(decide([stop], [idle], { nowMs: NOW_MS + 5_000 }).actions).toEqual([
      { kind: 'stop', replica: 'chat-1', reason: 'drained' },
    ])
  })

  test.each(['idle', 'pulling', 'starting'] as const)('stops without draining while %s', (phase) => {
    expect(decide([stop], [local({ phase, alive: phase === 'starting' })]).actions).toMatchObject([
      { kind: 'stop', reason: 'stop_wanted' },
    ])
  })

  test.each(['stopping', 'stopped', 'failed'] as const)('needs nothing more when it is %s', (phase) => {
    expect(decide([stop], [local({ phase, alive: phase === 'stopping' })])).toEqual({ actions: [] })
  })

  test('is not started to be stopped', () => {
    expect(decide([stop], [])).toEqual({ actions: [] })
  })

  test('stops when it is told both ways', () => {
    expect(decide([stop, anAssignment()], []).actions).toEqual([])
    expect(decide([anAssignment(), stop], []).actions).toEqual([])
  })
})

describe('a replica that nobody wants', () => {
  test('is stopped, then forgotten', () => {
    expect(decide([], [local()]).actions).toEqual([
      { kind: 'stop', replica: 'chat-1', reason: 'not_desired' },
    ])
    expect(decide([], [local({ phase: 'stopping' })]).actions).toEqual([])
    expect(decide([], [local({ phase: 'stopped', alive: false })]).actions).toEqual([
      { kind: 'forget', replica: 'chat-1' },
    ])
  })

  test('is left alone until control has answered once', () => {
    const actual = [local(), local({ replica: 'chat-2', phase: 'stopped', alive: false })]
    expect(decide([], actual, { desiredKnown: false })).toEqual({ actions: [] })
  })

  test('ends a pull that nobody waits for', () => {
    expect(decide([], [local({ phase: 'pulling', alive: false })]).actions).toMatchObject([{ kind: 'stop' }])
  })
})

test('the wait before a restart grows to five minutes', () => {
  expect([0, 1, 2, 3, 6, 7, 8, 50].map(restartDelayMs)).toEqual([
    1_000, 5_000, 10_000, 20_000, 160_000, 300_000, 300_000, 300_000,
  ])
})

describe('properties', () => {
  const replicas = ['r-0', 'r-1', 'r-2']
  const phases = [
    'idle',
    'pulling',
    'starting',
    'ready',
    'unhealthy',
    'draining',
    'stopping',
    'stopped',
    'failed',
  ] as const
  const times = fc.integer({ min: NOW_MS - 700_000, max: NOW_MS })
  const actualArbitrary = fc.uniqueArray(
    fc.record(
      {
        replica: fc.constantFrom(...replicas),
        phase: fc.constantFrom(...phases),
        sinceMs: times,
        restarts: fc.nat(7),
        alive: fc.boolean(),
        restartedAtMs: fc.array(times, { maxLength: 7 }),
        failure: fc.boolean().map((retryable) => ({ ...exited, retryable })),
        retryAtMs: fc.integer({ min: NOW_MS - 1000, max: NOW_MS + 400_000 }),
        inFlight: fc.nat(2),
      },
      { requiredKeys: ['replica', 'phase', 'sinceMs', 'restarts', 'alive'] },
    ),
    { selector: ({ replica }) => replica },
  )
  const desiredArbitrary = fc.array(
    fc.record({
      replica: fc.constantFrom(...replicas),
      desired: fc.constantFrom('run' as const, 'stop' as const),
      startTimeoutMs: fc.integer({ min: 1_000, max: 600_000 }),
      drainTimeoutMs: fc.integer({ min: 0, max: 60_000 }),
    }),
    { maxLength: 4 },
  )
  const inputs = fc.record({
    desired: desiredArbitrary.map((list) => list.map(anAssignment)),
    actual: actualArbitrary,
    desiredKnown: fc.boolean(),
    nowMs: fc.constant(NOW_MS),
  })

  const holds = (
    check: (input: Parameters<typeof reconcileNode>[0], actions: readonly NodeAction[]) => void,
  ) =>
    fc.assert(
      fc.property(inputs.map(frozen), (input) => check(input, reconcileNode(input).actions)),
      { numRuns: 500 },
    )

  test('at most one thing is done for each replica', () => {
    holds((_, actions) => {
      expect(new Set(actions.map(({ replica }) => replica)).size).toBe(actions.length)
    })
  })

  test('nothing is started that is alive, draining, stopping, failed, or wanted by nobody', () => {
    holds(({ desired, actual }, actions) => {
      for (const { replica } of actions.filter(({ kind }) => kind === 'start')) {
        const told = desired.filter((one) => one.replica === replica).map((one) => one.desired)
        expect(told.length > 0 && told.every((one) => one === 'run')).toBe(true)
        const one = actual.find((known) => known.replica === replica)
        expect(one?.alive ?? false).toBe(false)
        expect(['draining', 'stopping', 'failed', 'pulling']).not.toContain(one?.phase)
        expect(one?.retryAtMs ?? 0).toBeLessThanOrEqual(NOW_MS)
      }
    })
  })

  test('nothing that is wanted and serves is touched', () => {
    holds(({ desired, actual }, actions) => {
      for (const one of actual.filter(({ phase, alive }) => phase === 'ready' && alive)) {
        const told = desired.filter(({ replica }) => replica === one.replica)
        if (told.length > 0 && told.every((assignment) => assignment.desired === 'run')) {
          expect(actions.map(({ replica }) => replica)).not.toContain(one.replica)
        }
      }
    })
  })

  test('before control has answered, nothing is stopped or forgotten for not being desired', () => {
    holds(({ desired, desiredKnown }, actions) => {
      if (desiredKnown) return
      for (const { replica } of actions) expect(desired.map((one) => one.replica)).toContain(replica)
    })
  })

  test('nothing changes before the time at which it asks to look again, and something does then', () => {
    fc.assert(
      fc.property(inputs.map(withoutContention).map(frozen), (input) => {
        const { actions, wakeAtMs } = reconcileNode(input)
        if (wakeAtMs === undefined) {
          expect(reconcileNode({ ...input, nowMs: NOW_MS + 1_000_000 }).actions).toEqual(actions)
          return
        }
        expect(wakeAtMs).toBeGreaterThan(NOW_MS)
        expect(reconcileNode({ ...input, nowMs: wakeAtMs - 1 }).actions).toEqual(actions)
        expect(reconcileNode({ ...input, nowMs: wakeAtMs }).actions.length).toBeGreaterThan(actions.length)
      }),
      { numRuns: 500 },
    )
  })
})

/** A plan gives no port twice; of two that wanted one, the one that may be tried again would wait for the other. */
function withoutContention<Input extends { readonly desired: readonly Assignment[] }>(input: Input): Input {
  return { ...input, desired: input.desired.map((one, index) => ({ ...one, port: 20_000 + index })) }
}
