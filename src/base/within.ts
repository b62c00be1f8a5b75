import type { Clock } from './clock.ts'
import { YardError } from './errors.ts'

/**
 * What `promise` resolves to, or a fault with code `timed_out` after `timeoutMs`. What runs behind the promise is
 * not stopped by it: pass a signal as well where that matters. `what` is for people: "the store did not answer".
 */
export function within<Value>(
  clock: Pick<Clock, 'after'>,
  timeoutMs: number,
  promise: Promise<Value>,
  what: string,
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const timer = clock.after(timeoutMs, () =>
      reject(new YardError('timed_out', `${what} within ${timeoutMs} ms`)),
    )
    promise.then(
      (value) => {
        timer.cancel()
        resolve(value)
      },
      (error: unknown) => {
        timer.cancel()
        reject(error)
      },
    )
  })
}
