/** A bell: whoever waits when it rings goes on. */
export class WakeUp {
  readonly #waiting = new Set<() => void>()

  ring(): void {
    for (const goOn of [...this.#waiting]) goOn()
  }

  /** Resolves at the next ring or when the signal aborts (at once when it already has). Never rejects. */
  next(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const goOn = () => {
        this.#waiting.delete(goOn)
        signal.removeEventListener('abort', goOn)
        resolve()
      }
      this.#waiting.add(goOn)
      signal.addEventListener('abort', goOn, { once: true })
    })
  }
}
