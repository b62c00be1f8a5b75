import type { EngineName } from '../domain/engine-name.ts'
import { command } from './command.ts'
import type { Engine } from './engine.ts'
import { external } from './external.ts'
import { llama } from './llama.ts'
import { llamaServer } from './llama-server.ts'
import { sglang } from './sglang.ts'
import { sim } from './sim.ts'
import { vllm } from './vllm.ts'

/** Every engine by its name. */
export const ENGINES: Readonly<Record<EngineName, Engine>> = {
  vllm,
  sglang,
  'llama-server': llamaServer,
  llama,
  sim,
  external,
  command,
}

export function engineOf(name: EngineName): Engine {
  return ENGINES[name]
}
