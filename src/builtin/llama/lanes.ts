import { isAbsolute } from 'node:path'
import { isServableName } from './args.ts'
import { cacheBytes, inMiB } from './memory.ts'
import { inspectModelFile, type LoadFailure, type ModelFile } from './model-file.ts'
import { type Refusal, refusal } from './refusal.ts'
import type { Sequence, SequenceSet, TextModel } from './runtime.ts'
import type { SlotPool } from './slots.ts'

/** The sequences that serve one set of weights: the base model's, or those of the base with one adapter. */
export interface Lane {
  readonly pool: SlotPool<Sequence>
  readonly set: SequenceSet
  /** Name of the adapter; absent for the base model. */
  readonly adapter: string | undefined
}

export interface LaneOptions {
  readonly model: TextModel
  readonly file: ModelFile
  readonly servedNames: readonly string[]
  readonly contextTokens: number
  readonly parallel: number
  readonly threads: number
  readonly maxAdapters: number
  readonly availableMemoryBytes: () => number | undefined
  readonly makePool: (sequences: readonly Sequence[]) => SlotPool<Sequence>
}

type Changed = { readonly kind: 'ok' } | Refusal

/**
 * Every name that text can be asked for, and the sequences behind it. Each adapter has a context of its own, since
 * llama.cpp applies adapters to a whole context; loading one more costs a key/value cache.
 */
export class Lanes {
  readonly #options: LaneOptions
  readonly #base: Lane
  readonly #adapters = new Map<string, Lane>()
  readonly #retiring = new Set<Lane>()
  /** What each adapter path held when it was first loaded: llama.cpp never reads a path twice. */
  readonly #stamps = new Map<string, string>()
  #change: Promise<unknown> = Promise.resolve()

  private constructor(options: LaneOptions, base: Lane) {
    this.#options = options
    this.#base = base
  }

  static async open(options: LaneOptions): Promise<Lanes | LoadFailure> {
    const lane = await openLane(options)
    return 'reason' in lane ? lane : new Lanes(options, lane)
  }

  find(name: string): Lane | undefined {
    return this.#options.servedNames.includes(name) ? this.#base : this.#adapters.get(name)
  }

  get adapterNames(): readonly string[] {
    return [...this.#adapters.keys()]
  }

  /** All that hold memory, also those that only finish their last requests. */
  get all(): readonly Lane[] {
    return [this.#base, ...this.#adapters.values(), ...this.#retiring]
  }

  /** Loads an adapter file and serves it under `name`. One change happens at a time. */
  load(name: string, path: string, options: { readonly inPlace: boolean }): Promise<Changed> {
    return this.#inTurn(() => this.#load(name, path, options.inPlace))
  }

  /** Stops serving an adapter. Its running requests finish; then its memory is freed. */
  unload(name: string): Promise<Changed> {
    return this.#inTurn((): Promise<Changed> => {
      const lane = this.#adapters.get(name)
      if (lane === undefined) {
        const message = `The lora adapter '${name}' cannot be found.`
        return Promise.resolve(refusal(404, 'adapter_not_found', message, { param: 'lora_name' }))
      }
      this.#adapters.delete(name)
      this.#retire(lane)
      return Promise.resolve({ kind: 'ok' })
    })
  }

  async #load(name: string, path: string, inPlace: boolean): Promise<Changed> {
    const before = this.#adapters.get(name)
    const wrong = this.#check(name, path, before !== undefined && !inPlace)
    if (wrong !== undefined) return wrong
    const file = await inspectModelFile(path)
    if (file.kind === 'failed') {
      const status = file.reason === 'file_missing' ? 404 : 400
      return refusal(status, `adapter_${file.reason}`, file.message, { param: 'lora_path' })
    }
    const unfit = this.#unfit(file)
    if (unfit !== undefined) return refusal(400, unfit.code, unfit.message, { param: 'lora_path' })
    const lane = await openLane(this.#options, { name, path })
    if ('reason' in lane) return refusal(500, `adapter_${lane.reason}`, lane.message)
    this.#stamps.set(path, file.stamp)
    this.#adapters.set(name, lane)
    if (before !== undefined) this.#retire(before)
    return { kind: 'ok' }
  }

  #check(name: string, path: string, isTaken: boolean): Refusal | undefined {
    const { servedNames, maxAdapters } = this.#options
    if (!isServableName(name) || servedNames.includes(name)) {
      return refusal(400, 'invalid_value', `'${name}' cannot be an adapter's name`, { param: 'lora_name' })
    }
    if (!isAbsolute(path)) {
      return refusal(400, 'invalid_value', "'lora_path' must be an absolute path", { param: 'lora_path' })
    }
    if (isTaken) {
      const message = `The lora adapter '${name}' has already been loaded. If you want to load the adapter in place, set 'load_inplace' to True.`
      return refusal(400, 'adapter_already_loaded', message, { param: 'lora_name' })
    }
    if (this.#adapters.size + this.#retiring.size >= maxAdapters) {
      const message = `${maxAdapters} adapters are loaded, as many as --max-loras allows; unload one first`
      return refusal(400, 'too_many_adapters', message)
    }
    return undefined
  }

  #unfit(file: ModelFile): { code: string; message: string } | undefined {
    const { facts } = this.#options.file
    if (!file.facts.isAdapter || file.facts.architecture !== facts.architecture) {
      return {
        code: 'adapter_unfit',
        message: `${file.path} is no adapter for a ${facts.architecture} model`,
      }
    }
    const stamp = this.#stamps.get(file.path)
    if (stamp !== undefined && stamp !== file.stamp) {
      const message = `${file.path} changed since it was first loaded, and the first content would be served; give the new file a new path`
      return { code: 'adapter_changed', message }
    }
    return lackOfMemory(this.#options)
  }

  #retire(lane: Lane): void {
    this.#retiring.add(lane)
    void lane.pool
      .idle()
      .then(() => lane.set.close())
      .finally(() => this.#retiring.delete(lane))
  }

  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const result = this.#change.then(change)
    this.#change = result.catch(() => undefined)
    return result
  }
}

async function openLane(
  options: LaneOptions,
  adapter?: { readonly name: string; readonly path: string },
): Promise<Lane | LoadFailure> {
  const set = await options.model.openSequences({
    contextTokens: options.contextTokens,
    sequences: options.parallel,
    threads: options.threads,
    ...(adapter === undefined ? {} : { adapterPath: adapter.path }),
  })
  if (set.kind === 'failed') return set
  return { pool: options.makePool(set.sequences), set, adapter: adapter?.name }
}

function lackOfMemory(options: LaneOptions): { code: string; message: string } | undefined {
  const needed = cacheBytes(options.file.facts, options.contextTokens, options.parallel)
  const available = options.availableMemoryBytes()
  if (available === undefined || needed <= available) return undefined
  const message = `another adapter needs ${inMiB(needed)} of memory, but ${inMiB(available)} are left`
  return { code: 'out_of_memory', message }
}
