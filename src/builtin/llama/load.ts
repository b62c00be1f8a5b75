import type { Log } from '../../base/log.ts'
import { compileChatTemplate } from './chat-prompt.ts'
import { Lanes } from './lanes.ts'
import { cacheBytes, inMiB } from './memory.ts'
import { failure, inspectModelFile, type LoadFailure, type ModelFile } from './model-file.ts'
import type { LlamaOptions } from './options.ts'
import { loadTextModel, type Sequence, type TextModel } from './runtime.ts'
import type { EmbeddingSlot, EmbeddingTask, Serving, TextTask } from './serving.ts'
import { type Reusable, SlotPool, type Waiting } from './slots.ts'

/** Context of a model when nobody says how much: enough to chat, little enough for a laptop. */
const USUAL_CONTEXT_TOKENS = 4096

/** Below this, handing work to a second thread costs more than it saves. */
const SMALL_WEIGHT_BYTES = 64 * 1024 * 1024

export interface LoadContext extends Pick<Serving, 'clock' | 'random' | 'metrics' | 'onFault'> {
  readonly log: Log
  readonly waiting: Waiting
  readonly signal: AbortSignal
  readonly processors: number
  readonly availableMemoryBytes: () => number | undefined
}

export type Loaded =
  | { readonly kind: 'ok'; readonly serving: Serving; readonly threads: number }
  | LoadFailure

/** Checks the files, then loads the model, its adapters and everything that requests need. */
export async function loadServing(options: LlamaOptions, context: LoadContext): Promise<Loaded> {
  const file = await inspectModelFile(options.modelPath)
  if (file.kind === 'failed') return file
  if (file.facts.isAdapter) return failure('not_a_model', `${file.path} is an adapter; load it with --lora`)
  const contextTokens = options.contextTokens ?? Math.min(file.facts.contextTokens, USUAL_CONTEXT_TOKENS)
  if (contextTokens > file.facts.contextTokens) {
    context.log.warn('context_beyond_training', { contextTokens, trainedTokens: file.facts.contextTokens })
  }
  const lack = lackOfMemory(options, file, contextTokens, context.availableMemoryBytes())
  if (lack !== undefined) return lack
  const threads =
    options.threads ?? (file.weightBytes < SMALL_WEIGHT_BYTES ? 1 : Math.max(1, context.processors - 1))
  const model = await loadTextModel({ path: file.path, threads, log: context.log, signal: context.signal })
  if ('reason' in model) return model
  const task = await openTask(options, context, { model, file, contextTokens, threads })
  if (task.kind === 'failed') {
    await model.close()
    return task
  }
  const { clock, random, metrics, onFault } = context
  const loadedAtMs = clock.now()
  return {
    kind: 'ok',
    threads,
    serving: { options, clock, random, metrics, model, file, contextTokens, loadedAtMs, task, onFault },
  }
}

interface Opened {
  readonly model: TextModel
  readonly file: ModelFile
  readonly contextTokens: number
  readonly threads: number
}

async function openTask(
  options: LlamaOptions,
  context: LoadContext,
  opened: Opened,
): Promise<TextTask | EmbeddingTask | LoadFailure> {
  if (options.embeddings) return openEmbeddings(options, context, opened)
  const lanes = await Lanes.open({
    ...opened,
    servedNames: options.servedNames,
    parallel: options.parallel,
    maxAdapters: options.maxAdapters,
    availableMemoryBytes: context.availableMemoryBytes,
    makePool: (sequences: readonly Sequence[]) => makePool(sequences, options, context),
  })
  if ('reason' in lanes) return lanes
  for (const { name, path } of options.adapters) {
    const result = await lanes.load(name, path, { inPlace: false })
    if (result.kind === 'refused') return failure(result.code, `adapter "${name}": ${result.message}`)
  }
  const chatTemplate = await compileChatTemplate(opened.file.chatTemplate, opened.model)
  return { kind: 'text', lanes, chatTemplate }
}

async function openEmbeddings(
  options: LlamaOptions,
  context: LoadContext,
  { model, contextTokens, threads }: Opened,
): Promise<EmbeddingTask | LoadFailure> {
  const slots: EmbeddingSlot[] = []
  for (let count = 0; count < options.parallel; count++) {
    const embedder = await model.openEmbedder({ contextTokens, threads })
    if (embedder.kind === 'failed') return embedder
    slots.push({ embedder, sharedWith: () => 0 })
  }
  return { kind: 'embeddings', pool: makePool(slots, options, context) }
}

function makePool<Slot extends Reusable>(
  slots: readonly Slot[],
  { queueTimeoutMs }: LlamaOptions,
  { waiting, clock }: LoadContext,
): SlotPool<Slot> {
  return new SlotPool(slots, { waiting, clock, waitLimitMs: queueTimeoutMs })
}

/** llama.cpp checks nothing when a context's size is given: without this the kernel would kill the process. */
function lackOfMemory(
  options: LlamaOptions,
  file: ModelFile,
  contextTokens: number,
  availableBytes: number | undefined,
): LoadFailure | undefined {
  const lanes = 1 + options.adapters.length
  const cache = cacheBytes(file.facts, contextTokens, options.parallel) * lanes
  const neededBytes = file.weightBytes + cache
  if (availableBytes === undefined || neededBytes <= availableBytes) return undefined
  return failure(
    'out_of_memory',
    `it needs ${inMiB(neededBytes)} of memory (${inMiB(file.weightBytes)} weights, ${inMiB(cache)} cache) but ${inMiB(availableBytes)} are left; lower --ctx-size or --parallel`,
  )
}
