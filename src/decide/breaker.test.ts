import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type Breaker,
  type BreakerOutcome,
  breakerAfter,
  breakerOnSend,
  breakerOutcome,
  CLOSED_BREAKER,
  isEjected,
} from './breaker.ts'
import { frozen } from './decide.testing.ts'

function outcomesOf(outcomes: readonly BreakerOutcome[], nowMs = 0, from: Breaker = CLOSED_BREAKER): Breaker {
  return outcomes.reduce(
    (breaker, outcome) => breakerAfter(frozen(breaker), outcome, { probe: false, nowMs }),
    from,
  )
}

const five: BreakerOutcome[] = ['failure', 'failure', 'failure', 'failure', 'failure']

describe('a breaker', () => {
  test('opens for five seconds after five failures in a row', () => {
    expect(outcomesOf(five.slice(1)).state).toBe('closed')
    const open = outcomesOf(five)
    expect(isEjected(open, 4_999)).toBe(true)
    expect(isEjected(open, 5_000)).toBe(false)
  })

  test('opens after two refused connections in a row', () => {
    expect(outcomesOf(['connect_refused']).state).toBe('closed')
    expect(outcomesOf(['connect_refused', 'connect_refused']).state).toBe('open')
    expect(outcomesOf(['connect_refused', 'failure', 'connect_refused']).state).toBe('closed')
  })

  test('starts to count anew after a success, not after a client that left', () => {
    expect(outcomesOf([...five.slice(1), 'success', ...five.slice(1)]).state).toBe('closed')
    expect(outcomesOf([...five.slice(1), 'neutral', 'failure']).state).toBe('open')
  })

  test('lets exactly one request find out once its time is up', () => {
    const open = outcomesOf(five)
    expect(breakerOnSend(open, 4_999)).toEqual({ breaker: open, probe: false })
    const { breaker, probe } = breakerOnSend(frozen(open), 5_000)
    expect(probe).toBe(true)
    expect(isEjected(breaker, 5_000)).toBe(true)
    expect(breakerOnSend(breaker, 5_001).probe).toBe(false)
  })

  test('closes when that request succeeds', () => {
    const { breaker } = breakerOnSend(outcomesOf(five), 5_000)
    expect(breakerAfter(breaker, 'success', { probe: true, nowMs: 5_100 })).toBe(CLOSED_BREAKER)
  })

  test('stays open twice as long each time it fails, up to a minute', () => {
    let breaker = outcomesOf(five)
    let nowMs = 0
    const lasts = [5_000, 10_000, 20_000, 40_000, 60_000, 60_000]
    for (const lastMs of lasts) {
      expect(isEjected(breaker, nowMs + lastMs - 1)).toBe(true)
      nowMs += lastMs
      const sent = breakerOnSend(breaker, nowMs)
      expect(sent.probe).toBe(true)
      breaker = breakerAfter(sent.breaker, 'failure', { probe: true, nowMs })
    }
  })

  test('lets the next one find out when the first one’s client left', () => {
    const { breaker } = breakerOnSend(outcomesOf(five), 5_000)
    const again = breakerAfter(breaker, 'neutral', { probe: true, nowMs: 5_100 })
    expect(breakerOnSend(again, 5_100).probe).toBe(true)
  })

  test('lets the next one find out when the first one is lost', () => {
    const { breaker } = breakerOnSend(outcomesOf(five), 5_000)
    expect(isEjected(breaker, 64_999)).toBe(true)
    expect(breakerOnSend(breaker, 65_000).probe).toBe(true)
  })

  test('learns nothing from requests that were sent before it opened', () => {
    const open = outcomesOf(five)
    expect(outcomesOf(['failure', 'success', 'connect_refused'], 1, open)).toBe(open)
    const { breaker } = breakerOnSend(open, 5_000)
    expect(outcomesOf(['failure', 'success'], 5_001, breaker)).toBe(breaker)
  })

  test('makes no garbage while all goes well', () => {
    expect(breakerAfter(CLOSED_BREAKER, 'success', { probe: false, nowMs: 1 })).toBe(CLOSED_BREAKER)
    expect(breakerOnSend(CLOSED_BREAKER, 1).breaker).toBe(CLOSED_BREAKER)
  })
})

test.each([
  [{ kind: 'status', status: 200 }, 'success'],
  [{ kind: 'status', status: 404 }, 'neutral'],
  [{ kind: 'status', status: 401 }, 'failure'],
  [{ kind: 'status', status: 501 }, 'neutral'],
  [{ kind: 'status', status: 429 }, 'neutral'],
  [{ kind: 'status', status: 503 }, 'neutral'],
  [{ kind: 'status', status: 500 }, 'failure'],
  [{ kind: 'status', status: 502 }, 'failure'],
  [{ kind: 'client_left' }, 'neutral'],
  [{ kind: 'connect_refused' }, 'connect_refused'],
  [{ kind: 'aborted' }, 'failure'],
  [{ kind: 'reset' }, 'failure'],
  [{ kind: 'no_output' }, 'failure'],
] as const)('%o counts as %s', (end, outcome) => {
  expect(breakerOutcome(end)).toBe(outcome)
})

test('a breaker never stays shut out longer than a minute, and never has two probes at once', () => {
  const steps = fc.array(
    fc.record({
      outcome: fc.constantFrom<BreakerOutcome>('success', 'failure', 'connect_refused', 'neutral'),
      waitMs: fc.nat(20_000),
      isSend: fc.boolean(),
    }),
    { maxLength: 60 },
  )
  fc.assert(
    fc.property(steps, (list) => {
      let breaker: Breaker = CLOSED_BREAKER
      let nowMs = 0
      let probing = false
      for (const { outcome, waitMs, isSend } of list) {
        nowMs += waitMs
        if (breaker.state !== 'closed') expect(breaker.untilMs - nowMs).toBeLessThanOrEqual(60_000)
        if (isSend) {
          const lost = breaker.state === 'half_open' && nowMs >= breaker.untilMs
          const sent = breakerOnSend(frozen(breaker), nowMs)
          if (sent.probe) expect(probing && !lost).toBe(false)
          probing = probing || sent.probe
          breaker = sent.breaker
        } else {
          breaker = breakerAfter(frozen(breaker), outcome, { probe: probing, nowMs })
          probing = false
        }
      }
    }),
  )
})
