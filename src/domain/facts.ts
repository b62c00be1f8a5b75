import { z } from 'zod'

const count = z.number().int().nonnegative()

/** What was measured about a model's files. Absent means unknown, never zero. */
export const ModelFacts = z.object({
  format: z.enum(['gguf', 'safetensors']),
  architecture: z.string(),
  displayName: z.string().optional(),
  /** Bytes of all tensors as stored. */
  weightBytes: count,
  fileBytes: count,
  parameterCount: count.optional(),
  layers: count,
  /** Width of the residual stream. */
  embeddingLength: count,
  vocabSize: count.optional(),
  heads: count,
  /** Key/value heads of each layer: one number for all, or one a layer. */
  kvHeads: z.union([count, z.array(count)]),
  keyLength: count,
  valueLength: count,
  /** Set for multi-head latent attention: elements kept per token and layer in place of K and V. */
  latentKvLength: count.optional(),
  slidingWindowTokens: count.optional(),
  /** How many of the layers keep only the window; the others keep the whole context. Set with the window. */
  slidingLayers: count.optional(),
  /** Longest context that the model was made for. */
  contextTokens: count,
  quantization: z.string().optional(),
  hasChatTemplate: z.boolean(),
  /** True when the file pools token states into one vector (an embedding or rerank model). */
  pooling: z.enum(['none', 'mean', 'cls', 'last', 'rank']).optional(),
  isAdapter: z.boolean(),
})
export type ModelFacts = Readonly<z.infer<typeof ModelFacts>>

/** What one node found when it looked at a source. */
export const SourceReport = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('found'), facts: ModelFacts.optional() }),
  z.object({ kind: z.literal('missing'), message: z.string() }),
  z.object({ kind: z.literal('invalid'), reason: z.string(), message: z.string() }),
])
export type SourceReport = Readonly<z.infer<typeof SourceReport>>

/** All that is known of a source, by node. Kept under the hash of the source's text. */
export const SourceFacts = z.object({
  source: z.string(),
  nodes: z.record(z.string(), SourceReport),
})
export type SourceFacts = Readonly<z.infer<typeof SourceFacts>>
