import { describe, expect, it } from 'vitest'
import { FakeClock } from '../../base/fake-clock.ts'
import { SlotPool, Waiting } from './slots.ts'

class FakeSlot {
  readonly name: string
  readonly held: readonly number[]

  constructor(name: string, held: readonly number[] = []) {
    this.name = name
    this.held = held
  }

  sharedWith(tokens: readonly number[]): number {
    const differs = this.held.findIndex((token, index) => token !== tokens[index])
    return differs < 0 ? this.held.length : differs
  }
}

const never = new AbortController().signal

function pool(slots: readonly FakeSlot[], mostWaiting = 2) {
  const clock = new FakeClock()
  const waiting = new Waiting(mostWaiting)
  return { clock, waiting, pool: new SlotPool(slots, { waiting, clock, waitLimitMs: 1000 }) }
}

describe('slots', () => {
  it('go to the request whose prompt they already hold', async () => {
    const cold = new FakeSlot('cold')
    const warm = new FakeSlot('warm', [1, 2, 3])
    const { pool: slots } = pool([cold, warm])
    expect(await slots.acquire([1, 2, 9], never)).toMatchObject({ slot: { name: 'warm' } })
    expect(await slots.acquire([1, 2, 9], never)).toMatchObject({ slot: { name: 'cold' } })
  })

  it('are waited for in order of arrival', async () => {
    const only = new FakeSlot('only')
    const { pool: slots, clock } = pool([only])
    await slots.acquire([], never)
    const order: string[] = []
    const second = slots.acquire([], never).then(() => order.push('second'))
    const third = slots.acquire([], never).then(() => order.push('third'))
    await clock.advance(10)
    slots.release(only)
    await second
    slots.release(only)
    await third
    expect(order).toEqual(['second', 'third'])
  })

  it('refuse at once when too many wait', async () => {
    const { pool: slots, waiting } = pool([new FakeSlot('only')], 1)
    await slots.acquire([], never)
    expect(slots.hasRoomFor(1)).toBe(true)
    expect(slots.hasRoomFor(2)).toBe(false)
    const waits = slots.acquire([], never)
    expect(await slots.acquire([], never)).toEqual({ kind: 'overloaded' })
    expect(waiting.count).toBe(1)
    slots.release((slots.busy[0] as FakeSlot | undefined) ?? new FakeSlot('none'))
    expect(await waits).toMatchObject({ kind: 'slot' })
    expect(waiting.count).toBe(0)
  })

  it('are not waited for longer than allowed', async () => {
    const only = new FakeSlot('only')
    const { pool: slots, clock, waiting } = pool([only])
    await slots.acquire([], never)
    const waits = slots.acquire([], never)
    await clock.advance(999)
    expect(waiting.count).toBe(1)
    await clock.advance(1)
    expect(await waits).toEqual({ kind: 'timed_out' })
    expect([waiting.count, clock.pending]).toEqual([0, 0])
    slots.release(only)
    expect(await slots.acquire([], never)).toMatchObject({ kind: 'slot' })
  })

  it('are not given to a client that left the queue', async () => {
    const only = new FakeSlot('only')
    const { pool: slots, clock, waiting } = pool([only])
    await slots.acquire([], never)
    const leaves = new AbortController()
    const waits = slots.acquire([], leaves.signal)
    leaves.abort()
    expect(await waits).toEqual({ kind: 'aborted' })
    expect([waiting.count, clock.pending]).toEqual([0, 0])
    let idle = false
    const idleSoon = slots.idle().then(() => {
      idle = true
    })
    expect(idle).toBe(false)
    slots.release(only)
    await idleSoon
    expect(slots.busy).toEqual([])
  })
})
