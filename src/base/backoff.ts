/**
 * Exponential backoff with equal jitter: attempt 1 waits `baseMs/2 … baseMs`, each further attempt doubles,
 * never above `capMs`. `random` is 0 ≤ r < 1.
 */
export function backoffMs(
  attempt: number,
  options: { baseMs: number; capMs: number },
  random: () => number,
): number {
  const fullMs = Math.min(options.capMs, options.baseMs * 2 ** Math.max(0, attempt - 1))
  return fullMs / 2 + (fullMs / 2) * random()
}
