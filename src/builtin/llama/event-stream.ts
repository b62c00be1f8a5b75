import type { Clock } from '../../base/clock.ts'
import { type Exchange, untilEvent } from './exchange.ts'
import { errorBody, type Refusal } from './refusal.ts'

/**
 * Server-sent events in OpenAI's form. The head goes out with the first event, so until then an error can still be
 * an HTTP error. A client that reads slowly slows its own answer down and nobody else's.
 */
export class EventStream {
  readonly #exchange: Exchange
  readonly #clock: Clock

  constructor(exchange: Exchange, clock: Clock) {
    this.#exchange = exchange
    this.#clock = clock
  }

  get isOpen(): boolean {
    return this.#exchange.response.headersSent
  }

  /** Resolves when there is room for more. */
  async send(event: object): Promise<void> {
    await this.#write(`data: ${JSON.stringify(event)}\n\n`)
  }

  /** The proper end of an answer. */
  async end(): Promise<void> {
    await this.#write('data: [DONE]\n\n')
    this.#exchange.response.end()
  }

  /** An error event, then the connection breaks: no client may take what it has for the whole answer. */
  fail(refused: Refusal): void {
    const { response } = this.#exchange
    response.write(`data: ${JSON.stringify(errorBody(refused))}\n\n`, () => response.destroy())
  }

  async #write(text: string): Promise<void> {
    const { response, id } = this.#exchange
    if (response.destroyed) return
    if (!response.headersSent) {
      response.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache, no-transform',
        'x-accel-buffering': 'no',
        'x-request-id': id,
      })
    }
    if (!response.write(text)) await untilEvent(response, 'drain', this.#clock)
  }
}
