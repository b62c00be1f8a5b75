import type { Invocation } from '../cli/command.ts'
export async function runDev(_i: Invocation): Promise<number> {
  return 1
}
