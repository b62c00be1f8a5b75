import { z } from 'zod'

/** What happened to an object and why. */
export const Event = z.object({
  id: z.string(),
  atMs: z.number(),
  type: z.enum(['normal', 'warning']),
  object: z.object({
    kind: z.enum(['model', 'replica', 'node', 'plan', 'gateway', 'server']),
    name: z.string(),
  }),
  /** Stable snake_case code. */
  reason: z.string(),
  message: z.string(),
})
export type Event = Readonly<z.infer<typeof Event>>
