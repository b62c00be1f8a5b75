import type { World } from './world.ts'

const PLAIN_EVERY_MS = 10_000

/**
 * Tells on stderr how far something is: one redrawn line for a person, one line for each change (and every 10 s)
 * for a log file. Nothing of it can reach stdout.
 */
export class Progress {
  readonly #world: World
  readonly #quiet: boolean
  readonly #startMs: number
  #last = ''
  #lastAtMs = 0
  #drawn = false

  constructor(world: World, quiet: boolean) {
    this.#world = world
    this.#quiet = quiet
    this.#startMs = world.clock.monotonicMs()
  }

  show(text: string): void {
    if (this.#quiet) return
    const now = this.#world.clock.monotonicMs()
    if (this.#world.stderr.isTty) {
      const line = `${text}  ${((now - this.#startMs) / 1000).toFixed(1)}s`
      this.#world.stderr.write(`\r\u001b[K${line.slice(0, Math.max(20, this.#world.stderr.columns - 1))}`)
      this.#drawn = true
    } else if (text !== this.#last || now - this.#lastAtMs >= PLAIN_EVERY_MS) {
      this.#world.stderr.write(`${text}\n`)
      this.#lastAtMs = now
    }
    this.#last = text
  }

  end(): void {
    if (this.#drawn) this.#world.stderr.write('\r\u001b[K')
    this.#drawn = false
  }
}
