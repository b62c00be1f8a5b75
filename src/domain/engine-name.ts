import { z } from 'zod'

/** The serving programs that Yardmaster knows. */
export const EngineName = z.enum(['vllm', 'sglang', 'llama-server', 'llama', 'sim', 'external', 'command'])
export type EngineName = z.infer<typeof EngineName>
