import type { LlamaContext, LlamaContextSequence, LlamaModel, Token } from 'node-llama-cpp'
import { errorText } from '../../base/errors.ts'
import type { Log } from '../../base/log.ts'
import { failure, type LoadFailure } from './model-file.ts'
import { nativeSeed, type Sampling } from './sampling.ts'

/** What the server needs of a loaded model. Tokens are plain numbers. */
export interface TextModel {
  /** Put before a prompt when the model wants one. */
  readonly beginToken: number | undefined
  readonly beginText: string
  readonly endText: string
  readonly embeddingLength: number
  tokenize(text: string, specialTokens: boolean): number[]
  /** Control tokens have no text unless `specialTokens`. */
  detokenize(tokens: readonly number[], specialTokens?: boolean): string
  isEnd(token: number): boolean
  /** Room for `sequences` texts of `contextTokens` each; with an adapter, all of them under its weights. */
  openSequences(options: {
    contextTokens: number
    sequences: number
    threads: number
    adapterPath?: string
  }): Promise<SequenceSet | LoadFailure>
  openEmbedder(options: { contextTokens: number; threads: number }): Promise<Embedder | LoadFailure>
  /** Frees all memory, also that of sequences and embedders. Nothing may be running. */
  close(): Promise<void>
}

export interface SequenceSet {
  readonly kind: 'ok'
  readonly sequences: readonly Sequence[]
  /** Frees the memory. No sequence may be in use. */
  close(): Promise<void>
}

/** One text in the making. Used by one request at a time. */
export interface Sequence {
  /** Tokens whose state is held. */
  readonly held: number
  /** How many of `tokens`, from the first, are held already. */
  sharedWith(tokens: readonly number[]): number
  /** Forgets all that does not begin `tokens`; resolves to how many stay. */
  keep(tokens: readonly number[]): Promise<number>
  /** Computes the state of `tokens` without choosing a next one. */
  feed(tokens: readonly number[]): Promise<void>
  /** Computes `tokens` (one or more), then chooses token after token, the end token too, until it is returned. */
  next(tokens: readonly number[], sampling: Sampling): AsyncGenerator<number, void, void>
  /** Replaces the native sequence after a fault. */
  renew(): Promise<void>
}

export interface Embedder {
  readonly kind: 'ok'
  /** Tokens that an input costs, with those that the model adds. */
  inputTokens(input: string | readonly number[]): number
  /** The pooled vector as the model gives it, not normalised. */
  embed(input: string | readonly number[]): Promise<readonly number[]>
}

/** Tokens that are computed in one step; between steps a request can be aborted. */
export const FEED_TOKENS = 512

/**
 * Loads a checked GGUF file into llama.cpp on the processors. Threads are bounded by hand: left alone, the library
 * takes at least four and spins on a machine that has fewer.
 */
export async function loadTextModel(options: {
  path: string
  threads: number
  log: Log
  signal: AbortSignal
}): Promise<TextModel | LoadFailure> {
  const complaints: string[] = []
  try {
    const { getLlama, LlamaLogLevel } = await import('node-llama-cpp')
    const llama = await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      maxThreads: options.threads,
      logLevel: LlamaLogLevel.warn,
      logger: (level, message) => {
        if (complaints.length === 16) complaints.shift()
        complaints.push(message.trim())
        options.log.warn('llama_cpp', { level, message: message.trim().slice(0, 500) })
      },
    })
    const model = await llama.loadModel({ modelPath: options.path, loadSignal: options.signal })
    return new NativeModel(model, complaints)
  } catch (error) {
    return nativeFailure(error, complaints)
  }
}

class NativeModel implements TextModel {
  readonly #model: LlamaModel
  readonly #complaints: string[]

  constructor(model: LlamaModel, complaints: string[]) {
    this.#model = model
    this.#complaints = complaints
  }

  get beginToken(): number | undefined {
    const { tokens } = this.#model
    return tokens.shouldPrependBosToken ? (tokens.bos ?? undefined) : undefined
  }

  get beginText(): string {
    return this.#model.tokens.bosString ?? ''
  }

  get endText(): string {
    return this.#model.tokens.eosString ?? ''
  }

  get embeddingLength(): number {
    return this.#model.embeddingVectorSize
  }

  tokenize(text: string, specialTokens: boolean): number[] {
    return this.#model.tokenize(text, specialTokens)
  }

  detokenize(tokens: readonly number[], specialTokens = false): string {
    return this.#model.detokenize(tokens as readonly Token[], specialTokens)
  }

  isEnd(token: number): boolean {
    return this.#model.isEogToken(token as Token)
  }

  async openSequences(
    options: Parameters<TextModel['openSequences']>[0],
  ): Promise<SequenceSet | LoadFailure> {
    this.#complaints.length = 0
    try {
      const context = await this.#model.createContext({
        contextSize: options.contextTokens,
        sequences: options.sequences,
        batchSize: Math.max(FEED_TOKENS, options.sequences),
        threads: options.threads,
        failedCreationRemedy: false,
        ...(options.adapterPath === undefined ? {} : { lora: options.adapterPath }),
      })
      return {
        kind: 'ok',
        sequences: Array.from({ length: options.sequences }, () => new NativeSequence(context)),
        close: () => context.dispose(),
      }
    } catch (error) {
      return nativeFailure(error, this.#complaints)
    }
  }

  async openEmbedder(options: { contextTokens: number; threads: number }): Promise<Embedder | LoadFailure> {
    this.#complaints.length = 0
    try {
      const context = await this.#model.createEmbeddingContext({
        contextSize: options.contextTokens,
        // Pooling happens per batch, so an input must fit one.
        batchSize: options.contextTokens,
        threads: options.threads,
      })
      return {
        kind: 'ok',
        inputTokens: (input) => context.calculateInputLength(copyInput(input)),
        embed: async (input) => (await context.getEmbeddingFor(copyInput(input))).vector,
      }
    } catch (error) {
      return nativeFailure(error, this.#complaints)
    }
  }

  async close(): Promise<void> {
    await this.#model.llama.dispose()
  }
}

class NativeSequence implements Sequence {
  readonly #context: LlamaContext
  #native: LlamaContextSequence

  constructor(context: LlamaContext) {
    this.#context = context
    this.#native = context.getSequence()
  }

  get held(): number {
    return this.#native.nextTokenIndex
  }

  sharedWith(tokens: readonly number[]): number {
    return this.#native.compareContextTokens(tokens as Token[]).firstDifferentIndex
  }

  async keep(tokens: readonly number[]): Promise<number> {
    if (tokens.length === 0) await this.#native.clearHistory()
    else await this.#native.adaptStateToTokens(tokens as Token[], false)
    return this.#native.nextTokenIndex
  }

  async feed(tokens: readonly number[]): Promise<void> {
    await this.#native.evaluateWithoutGeneratingNewTokens(tokens as Token[])
  }

  next(tokens: readonly number[], sampling: Sampling): AsyncGenerator<number, void, void> {
    const chosen: Token[] = []
    const penalised = sampling.frequencyPenalty !== 0 || sampling.presencePenalty !== 0
    const tokensOf = this.#native.evaluate(tokens as Token[], {
      temperature: sampling.temperature,
      topP: sampling.topP,
      topK: sampling.topK,
      minP: sampling.minP,
      seed: nativeSeed(sampling.seed),
      yieldEogToken: true,
      ...(penalised
        ? {
            repeatPenalty: {
              punishTokens: () => chosen,
              // A constant: another number would make the sampler count from nothing again.
              maxPunishTokens: this.#native.contextSize,
              penalty: 1,
              frequencyPenalty: sampling.frequencyPenalty,
              presencePenalty: sampling.presencePenalty,
            },
          }
        : {}),
    })
    return penalised ? recorded(tokensOf, chosen) : tokensOf
  }

  async renew(): Promise<void> {
    await this.#native.dispose()
    this.#native = this.#context.getSequence()
  }
}

async function* recorded(tokens: AsyncGenerator<Token, void, void>, into: Token[]) {
  for await (const token of tokens) {
    into.push(token)
    yield token
  }
}

/** The library adds its own tokens to the list that it is given. */
function copyInput(input: string | readonly number[]): string | Token[] {
  return typeof input === 'string' ? input : ([...input] as Token[])
}

function nativeFailure(error: unknown, complaints: readonly string[]): LoadFailure {
  const text = [...complaints, errorText(error)].join('\n')
  const message = (complaints.findLast((line) => /error|fail/i.test(line)) ?? errorText(error)).split('\n')[0]
  return failure(nativeReason(text), `llama.cpp could not load it: ${message}`)
}

function nativeReason(text: string): string {
  if (/unknown model architecture/.test(text)) return 'unsupported_architecture'
  if (/bad_alloc|out of memory|failed to allocate|too large for the available/.test(text))
    return 'out_of_memory'
  if (/NoBinaryFound|ERR_MODULE_NOT_FOUND|Cannot find (module|package)/.test(text)) return 'runtime_missing'
  return 'load_failed'
}
