/** A request that waits for a replica. */
export interface Waiter {
  readonly name: string
  /** Asks the router again. True when it left the queue, whether served or refused. */
  wake(): boolean
}

/**
 * Requests that wait, in order of arrival for each public name, bounded over all. Woken when a view comes and when
 * a replica has become free.
 */
export class WaitRoom {
  readonly #most: number
  readonly #queues = new Map<string, Queue>()
  #size = 0

  constructor(most: number) {
    this.#most = most
  }

  get size(): number {
    return this.#size
  }

  /** True when somebody of that name came earlier. */
  has(name: string): boolean {
    return this.#size > 0 && this.#queues.has(name)
  }

  /** False when the room is full. */
  enter(waiter: Waiter): boolean {
    if (this.#size >= this.#most) return false
    this.#size++
    let queue = this.#queues.get(waiter.name)
    if (queue === undefined) {
      queue = new Queue()
      this.#queues.set(waiter.name, queue)
    }
    queue.push(waiter)
    return true
  }

  /** Leaving twice does nothing. */
  leave(waiter: Waiter): void {
    const queue = this.#queues.get(waiter.name)
    if (queue?.remove(waiter) !== true) return
    this.#size--
    if (queue.length === 0) this.#queues.delete(waiter.name)
  }

  /** Lets those in front go as long as they can; the first that can't keeps its name's queue waiting. */
  wake(): void {
    if (this.#size === 0) return
    for (const queue of [...this.#queues.values()]) {
      for (let first = queue.first; first?.wake() === true; first = queue.first) this.leave(first)
    }
  }
}

/** First in, first out, with leaving from the middle. Slots are emptied, never shifted, until enough are empty. */
class Queue {
  #slots: (Waiter | undefined)[] = []
  #head = 0
  length = 0

  get first(): Waiter | undefined {
    return this.#slots[this.#head]
  }

  push(waiter: Waiter): void {
    this.#slots.push(waiter)
    this.length++
  }

  remove(waiter: Waiter): boolean {
    const place = this.#slots.indexOf(waiter, this.#head)
    if (place === -1) return false
    this.#slots[place] = undefined
    this.length--
    while (this.#head < this.#slots.length && this.#slots[this.#head] === undefined) this.#head++
    if (this.#head > 64 && this.#head > this.#slots.length / 2) {
      this.#slots = this.#slots.slice(this.#head)
      this.#head = 0
    }
    return true
  }
}
