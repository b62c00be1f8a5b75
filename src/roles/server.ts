import type { Invocation } from '../cli/command.ts'
export async function runServer(_i: Invocation): Promise<number> {
  return 1
}
