/** Resolves once `condition` holds; rejects, saying what was waited for, when it doesn't within five seconds. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const untilMs = performance.now() + 5_000
  while (!condition()) {
    if (performance.now() > untilMs) throw new Error(`did not happen: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
