import { describe, expect, it } from 'vitest'
import { FakeClock } from './fake-clock.ts'
import { KeyedQueue, type KeyedQueueOptions, type Pass } from './keyed-queue.ts'

describe('KeyedQueue', () => {
  it('works a key once however often it was added before its turn', async () => {
    await using world = start({ concurrency: 1 })
    for (let count = 0; count < 5; count++) world.queue.add('a')
    world.queue.add('b')
    await world.clock.advance(0)
    expect(world.passes).toEqual(['a', 'b'])
  })

  it('works a key once more when it was added during its pass, and never by two at a time', async () => {
    await using world = start({ concurrency: 4 })
    const gate = world.hold('a')
    world.queue.add('a')
    await world.clock.advance(0)
    world.queue.add('a')
    world.queue.add('a')
    await world.clock.advance(0)
    expect(world.passes).toEqual(['a'])
    gate.open()
    await world.clock.advance(0)
    expect(world.passes).toEqual(['a', 'a'])
    expect(world.mostAtATime('a')).toBe(1)
  })

  it('works no more keys at a time than allowed', async () => {
    await using world = start({ concurrency: 2 })
    const gates = ['a', 'b', 'c'].map((key) => world.hold(key))
    for (const key of ['a', 'b', 'c']) world.queue.add(key)
    await world.clock.advance(0)
    expect(world.passes).toEqual(['a', 'b'])
    gates[0]?.open()
    await world.clock.advance(0)
    expect(world.passes).toEqual(['a', 'b', 'c'])
    for (const gate of gates) gate.open()
  })

  it('looks again at the time that a pass asked for', async () => {
    await using world = start({})
    world.answer('a', { wakeAtMs: world.clock.now() + 1_000 })
    world.queue.add('a')
    await world.clock.advance(999)
    expect(world.passes).toEqual(['a'])
    world.answer('a', undefined)
    await world.clock.advance(1)
    expect(world.passes).toEqual(['a', 'a'])
  })

  it('does not spin when the time to look again has passed', async () => {
    await using world = start({})
    world.answer('a', { wakeAtMs: world.clock.now() })
    world.queue.add('a')
    await world.clock.advance(100)
    expect(world.passes.length).toBeLessThanOrEqual(6)
  })

  it('lets an earlier addition replace the time to look again', async () => {
    await using world = start({})
    world.answer('a', { wakeAtMs: world.clock.now() + 1_000 })
    world.queue.add('a')
    await world.clock.advance(500)
    world.answer('a', undefined)
    world.queue.add('a')
    await world.clock.advance(10_000)
    expect(world.passes).toEqual(['a', 'a'])
  })

  it('backs off after faults, longer each time up to the cap, whoever adds the key meanwhile', async () => {
    await using world = start({ backoff: { baseMs: 100, capMs: 300 } })
    world.fail('a', 4)
    world.queue.add('a')
    for (let tick = 0; tick < 200; tick++) {
      await world.clock.advance(10)
      if (world.passes.length < 5) world.queue.add('a')
    }
    expect(world.faults).toEqual([1, 2, 3, 4])
    // random() is 1, so the waits are 100, 200, 300 and 300 ms.
    expect(world.startedAtMs).toEqual([0, 100, 300, 600, 900])
  })

  it('forgets earlier faults after a pass that succeeded', async () => {
    await using world = start({ backoff: { baseMs: 100, capMs: 1_000 } })
    world.fail('a', 1)
    world.queue.add('a')
    await world.clock.advance(200)
    world.fail('a', 1)
    world.queue.add('a')
    await world.clock.advance(200)
    expect(world.faults).toEqual([1, 1])
  })

  it('starts nothing after its signal aborted and waits for the pass that runs', async () => {
    const world = start({})
    const gate = world.hold('a')
    world.queue.add('a')
    await world.clock.advance(0)
    world.queue.add('b')
    const end = world.stop()
    await world.clock.advance(0)
    expect(await Promise.race([end.then(() => 'ended'), Promise.resolve('waiting')])).toBe('waiting')
    gate.open()
    await end
    expect(world.clock.pending).toBe(0)
    expect(world.passes.filter((key) => key === 'a')).toHaveLength(1)
  })

  it('keeps what was added before it ran', async () => {
    const clock = new FakeClock()
    const passes: string[] = []
    const queue = new KeyedQueue({
      clock,
      random: () => 0,
      concurrency: 1,
      onFault: () => {},
      work: async (key) => {
        passes.push(key)
        return undefined
      },
    })
    queue.add('a')
    const stop = new AbortController()
    const running = queue.run(stop.signal)
    await clock.advance(0)
    expect(passes).toEqual(['a'])
    stop.abort()
    await running
  })
})

function start(options: Partial<KeyedQueueOptions>) {
  const clock = new FakeClock()
  const passes: string[] = []
  const startedAtMs: number[] = []
  const faults: number[] = []
  const gates = new Map<string, Promise<void>>()
  const answers = new Map<string, Pass | undefined>()
  const failures = new Map<string, number>()
  const active = new Map<string, number>()
  const most = new Map<string, number>()
  const queue = new KeyedQueue({
    clock,
    random: () => 1,
    concurrency: 2,
    onFault: (_key, _error, attempt) => void faults.push(attempt),
    work: async (key) => {
      passes.push(key)
      startedAtMs.push(clock.monotonicMs())
      const now = (active.get(key) ?? 0) + 1
      active.set(key, now)
      most.set(key, Math.max(most.get(key) ?? 0, now))
      await gates.get(key)
      active.set(key, now - 1)
      const left = failures.get(key) ?? 0
      if (left > 0) {
        failures.set(key, left - 1)
        throw new Error('the store is away')
      }
      return answers.get(key)
    },
    ...options,
  })
  const controller = new AbortController()
  const running = queue.run(controller.signal)
  const stop = () => {
    controller.abort()
    return running
  }
  return {
    queue,
    clock,
    passes,
    startedAtMs,
    faults,
    hold(key: string) {
      let open = () => {}
      gates.set(key, new Promise<void>((resolve) => (open = resolve)))
      return { open: () => open() }
    },
    answer: (key: string, pass: Pass | undefined) => void answers.set(key, pass),
    fail: (key: string, times: number) => void failures.set(key, times),
    mostAtATime: (key: string) => most.get(key) ?? 0,
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
