import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { frozen } from './decide.testing.ts'
import { type Attempt, type AttemptEnd, MAX_ATTEMPTS, retry } from './retry.ts'

const calm = frozen({ requests: 1000, retries: 0 })

function tries(...ends: AttemptEnd[]): Attempt[] {
  return frozen(ends.map((end, index) => ({ replica: `r-${index}`, end, outputForwarded: false })))
}

const status = (code: number): AttemptEnd => ({ kind: 'status', status: code })

describe('a request that failed', () => {
  test.each([401, 403, 429, 500, 502, 503, 504])('with %d goes elsewhere at once', (code) => {
    expect(retry(tries(status(code)), 1000, calm)).toEqual({ kind: 'again', avoid: ['r-0'], delayMs: 0 })
  })

  test.each(['connect_refused', 'connect_failed', 'reset', 'aborted', 'error_event', 'bad_answer'] as const)(
    'by %s goes elsewhere',
    (kind) => {
      expect(retry(tries({ kind }), 1000, calm)).toMatchObject({ kind: 'again', avoid: ['r-0'] })
    },
  )

  test.each([400, 404, 408, 413, 422, 501])('with %d is not sent again', (code) => {
    expect(retry(tries(status(code)), 1000, calm)).toEqual({ kind: 'give_up', code: 'not_retryable' })
  })

  test.each(['no_output', 'client_left'] as const)('by %s is not sent again', (kind) => {
    expect(retry(tries({ kind }), 1000, calm)).toEqual({ kind: 'give_up', code: 'not_retryable' })
  })

  test('after output is never sent again', () => {
    const [attempt] = tries({ kind: 'reset' })
    expect(retry([{ ...attempt!, outputForwarded: true }], 1000, calm)).toEqual({
      kind: 'give_up',
      code: 'output_forwarded',
    })
  })

  test('waits a little before its last try, and avoids both before it', () => {
    expect(retry(tries({ kind: 'reset' }, status(500)), 1000, calm)).toEqual({
      kind: 'again',
      avoid: ['r-0', 'r-1'],
      delayMs: 100,
    })
  })

  test('is given up after three tries', () => {
    const reset: AttemptEnd = { kind: 'reset' }
    expect(retry(tries(reset, reset, reset), 1000, calm)).toEqual({ kind: 'give_up', code: 'attempts' })
  })

  test('is given up when its deadline leaves no time', () => {
    expect(retry(tries({ kind: 'reset' }), 0, calm)).toEqual({ kind: 'give_up', code: 'deadline' })
    expect(retry(tries({ kind: 'reset' }, { kind: 'reset' }), 100, calm)).toEqual({
      kind: 'give_up',
      code: 'deadline',
    })
  })

  test('is given up when a fifth of all requests are retries, but a few are always allowed', () => {
    const again = (requests: number, retries: number) =>
      retry(tries({ kind: 'reset' }), 1000, { requests, retries }).kind
    expect(again(1000, 199)).toBe('again')
    expect(again(1000, 200)).toBe('give_up')
    expect(again(1, 9)).toBe('again')
    expect(again(1, 10)).toBe('give_up')
  })
})

test('what is sent again is within every bound', () => {
  const ends = fc.oneof(
    fc.integer({ min: 200, max: 599 }).map(status),
    fc.constantFrom<AttemptEnd>({ kind: 'reset' }, { kind: 'client_left' }, { kind: 'no_output' }),
  )
  const attempts = fc.array(
    fc.record({ replica: fc.constantFrom('r-0', 'r-1', 'r-2'), end: ends, outputForwarded: fc.boolean() }),
    { minLength: 1, maxLength: 5 },
  )
  fc.assert(
    fc.property(
      attempts.map(frozen),
      fc.integer({ min: -10, max: 500 }),
      fc.record({ requests: fc.nat(200), retries: fc.nat(60) }),
      (list, budgetLeftMs, budget) => {
        const answer = retry(list, budgetLeftMs, budget)
        if (answer.kind !== 'again') return
        expect(list.some(({ outputForwarded }) => outputForwarded)).toBe(false)
        expect(list.length).toBeLessThan(MAX_ATTEMPTS)
        expect(answer.delayMs).toBeLessThan(budgetLeftMs)
        expect(budget.retries).toBeLessThan(Math.max(10, budget.requests / 5))
        for (const { replica } of list) expect(answer.avoid).toContain(replica)
        const last = list.at(-1)!.end
        if (last.kind === 'status') expect([401, 403, 429, 500, 502, 503, 504]).toContain(last.status)
      },
    ),
  )
})
