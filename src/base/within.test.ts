import { expect, it } from 'vitest'
import { FakeClock } from './fake-clock.ts'
import { within } from './within.ts'

it('gives what the promise gives when that is in time, and leaves no timer', async () => {
  const clock = new FakeClock()
  expect(await within(clock, 100, Promise.resolve(7), 'no answer')).toBe(7)
  await expect(within(clock, 100, Promise.reject(new Error('broken')), 'no answer')).rejects.toThrow('broken')
  expect(clock.pending).toBe(0)
})

it('is a fault that names the wait when it takes too long', async () => {
  const clock = new FakeClock()
  const late = within(clock, 100, new Promise(() => {}), 'the store did not answer')
  const seen = expect(late).rejects.toMatchObject({
    code: 'timed_out',
    message: 'the store did not answer within 100 ms',
  })
  await clock.advance(100)
  await seen
})
