/** How the built-in engine was asked to run. */
export interface LlamaOptions {
  /** The GGUF file. */
  readonly modelPath: string
  /** Names that requests may use; the first is the one for metrics and logs. Never empty. */
  readonly servedNames: readonly [string, ...string[]]
  readonly host: string
  /** 0 takes any free port. */
  readonly port: number
  /** Tokens of one sequence, prompt and answer together. Absent: the model's own, at most 4096. */
  readonly contextTokens: number | undefined
  /** Sequences that run at the same time, for the base model and again for each adapter. */
  readonly parallel: number
  /** Absent: one for a small model, all processors but one for others. */
  readonly threads: number | undefined
  /** Serve embeddings instead of text. */
  readonly embeddings: boolean
  readonly adapters: readonly { readonly name: string; readonly path: string }[]
  /** Allow `/v1/load_lora_adapter` and `/v1/unload_lora_adapter`. */
  readonly runtimeAdapters: boolean
  /** Adapters at the same time; each keeps a context of its own. */
  readonly maxAdapters: number
  /** Requests that may wait for a sequence. */
  readonly maxQueue: number
  /** Longest time that a request may wait for a sequence. */
  readonly queueTimeoutMs: number
  /** Longest time that running requests get after the first SIGTERM. */
  readonly drainTimeoutMs: number
}

/** How the engine's process ends. Part of the contract with whoever supervises it. */
export const LLAMA_EXIT = {
  /** Stopped by one SIGTERM or SIGINT. */
  ok: 0,
  /** The model or an adapter could not be loaded; the last line on stderr says why. */
  loadFailed: 1,
  badArguments: 2,
  /** The port is taken or the host has no such address. */
  cannotListen: 3,
  /** llama.cpp failed while it ran and could not be recovered. */
  engineFault: 4,
  /** A second SIGINT ended it at once. */
  interrupted: 130,
  /** A second SIGTERM ended it at once. */
  terminated: 143,
} as const

export type LlamaExitCode = (typeof LLAMA_EXIT)[keyof typeof LLAMA_EXIT]
