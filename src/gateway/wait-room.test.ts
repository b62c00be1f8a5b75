import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { WaitRoom } from './wait-room.ts'

class Guest {
  readonly name: string
  readonly number: number
  readonly #served: number[]
  mayGo = false

  constructor(name: string, number: number, served: number[]) {
    this.name = name
    this.number = number
    this.#served = served
  }

  wake(): boolean {
    if (this.mayGo) this.#served.push(this.number)
    return this.mayGo
  }
}

describe('the waiting room', () => {
  it('takes no more than it holds', () => {
    const room = new WaitRoom(1)
    const [first, second] = [new Guest('a', 1, []), new Guest('b', 2, [])]
    expect([room.enter(first), room.enter(second)]).toEqual([true, false])
    room.leave(first)
    room.leave(first)
    expect(room.size).toBe(0)
    expect(room.enter(second)).toBe(true)
  })

  it('lets one name go while another waits', () => {
    const served: number[] = []
    const room = new WaitRoom(9)
    const stuck = new Guest('a', 1, served)
    const free = new Guest('b', 2, served)
    free.mayGo = true
    for (const guest of [stuck, free]) room.enter(guest)
    room.wake()
    expect(served).toEqual([2])
    expect([room.has('a'), room.has('b')]).toEqual([true, false])
  })

  it('serves each name in order of arrival, whoever leaves in between', () => {
    const steps = fc.array(fc.record({ kind: fc.constantFrom('enter', 'leave', 'wake'), at: fc.nat() }), {
      maxLength: 400,
    })
    fc.assert(
      fc.property(steps, (list) => {
        const served: number[] = []
        const room = new WaitRoom(1_000)
        const waiting: Guest[] = []
        let count = 0
        for (const { kind, at } of list) {
          if (kind === 'enter') {
            const guest = new Guest('a', count++, served)
            room.enter(guest)
            waiting.push(guest)
          } else if (kind === 'leave' && waiting.length > 0) {
            const [guest] = waiting.splice(at % waiting.length, 1)
            if (guest) room.leave(guest)
          } else if (kind === 'wake') {
            const going = waiting.splice(0, at % 3)
            for (const guest of going) guest.mayGo = true
            room.wake()
            expect(served.splice(0)).toEqual(going.map(({ number }) => number))
          }
          expect(room.size).toBe(waiting.length)
          expect(room.has('a')).toBe(waiting.length > 0)
        }
      }),
    )
  })
})
