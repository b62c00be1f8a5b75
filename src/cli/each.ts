import { errorText, isYardError } from '../base/errors.ts'
import type { World } from './world.ts'

/**
 * Does one thing for each name and goes on past a failure. Exit code 0 when all went well, the one failure's own
 * code when there was a single name, 9 when only some failed.
 */
export async function forEachName(
  world: World,
  names: readonly (string | undefined)[],
  act: (name: string) => Promise<void>,
): Promise<number> {
  const failures: unknown[] = []
  const asked = names.filter((name) => name !== undefined)
  for (const name of asked) {
    try {
      await act(name)
    } catch (error) {
      if (asked.length === 1) throw error
      failures.push(error)
      world.stderr.write(`error: ${name}: ${errorText(error)}\n`)
    }
  }
  if (failures.length === 0) return 0
  const [first] = failures
  return failures.length === asked.length && isYardError(first) ? first.exitCode : 9
}
