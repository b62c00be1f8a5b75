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
  readonly #queues = new Map<string, Set<Waiter>>()
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
    const queue = this.#queues.get(waiter.name)
    if (queue === undefined) this.#queues.set(waiter.name, new Set([waiter]))
    else queue.add(waiter)
    return true
  }

  /** Leaving twice does nothing. */
  leave(waiter: Waiter): void {
    const queue = this.#queues.get(waiter.name)
    if (queue?.delete(waiter) !== true) return
    this.#size--
    if (queue.size === 0) this.#queues.delete(waiter.name)
  }

  /** Lets those in front go as long as they can; the first that can't keeps its name's queue waiting. */
  wake(): void {
    if (this.#size === 0) return
    for (const queue of [...this.#queues.values()]) {
      for (const waiter of queue) {
        if (!waiter.wake()) break
        this.leave(waiter)
      }
    }
  }
}
