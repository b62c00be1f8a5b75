import type { Random } from '../../base/random.ts'
import { isRecord } from './json-fields.ts'

/**
 * What `/admin/fault` can make go wrong. Those of a request act on inference calls (POST under `/v1`, `/v2`,
 * rerank, score); `afterTokens` counts output tokens of the whole answer.
 */
export interface Fault {
  readonly kind: FaultKind
  /** How many requests it still acts on. Undefined: until cleared. */
  readonly count?: number
  /** Chance that it acts on a request, 0 to 1. */
  readonly probability?: number
  /** `status`, `error_frame`: the HTTP status, or the `code` of the frame. */
  readonly status?: number
  /** `status`: seconds in `retry-after`. */
  readonly retryAfterS?: number
  readonly afterTokens?: number
  /** How long it lasts; `ttft_hang` and `stall` without it last until the client leaves. */
  readonly durationMs?: number
  /** `slow_drip`: time between events, or between pieces of a body. */
  readonly delayMs?: number
  /** `crash`. */
  readonly exitCode?: number
  /** `crash`: what the log says of it. */
  readonly reason?: CrashReason
}

/** Last words of a vLLM that dies while it serves, as log classifiers know them. */
export const CRASH_WORDS = {
  engine_dead: 'vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.',
  oom: 'torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 1.50 GiB.',
  device_fault: 'torch.AcceleratorError: CUDA error: uncorrectable ECC error encountered',
} as const
export type CrashReason = keyof typeof CRASH_WORDS

export const FAULT_KINDS = {
  /** The port is closed for `durationMs`; open connections break. */
  connect_refuse: { durationMs: 10_000 },
  /** The request is answered with `status`. */
  status: { status: 503 },
  /** The request is accepted (a stream gets its headers) and then nothing comes. */
  ttft_hang: {},
  /** The connection breaks after `afterTokens`. */
  cut: { afterTokens: 3 },
  /** Nothing more comes after `afterTokens`, with the connection open. */
  stall: { afterTokens: 3 },
  /** One event each `delayMs`. */
  slow_drip: { delayMs: 1000 },
  /** The stream ends cleanly without `data: [DONE]`. */
  no_done: {},
  /** After `afterTokens` the engine aborts: HTTP 200, `finish_reason: "abort"`, `[DONE]` (vLLM #57082). */
  finish_abort: { afterTokens: 3 },
  /** After `afterTokens` an `{"error": …}` event on HTTP 200, then `[DONE]`; a plain answer becomes a 500. */
  error_frame: { afterTokens: 3, status: 500 },
  /** The process says `reason` and exits: at once, or when a request has `afterTokens`. */
  crash: { exitCode: 1, reason: 'engine_dead' },
  metrics_down: {},
  /** `/metrics` repeats the page it had when this was set. */
  metrics_stale: {},
  health_hang: {},
  /** `/health` says 503, as with a dead engine core. */
  health_down: {},
} as const satisfies Record<string, Omit<Fault, 'kind'>>

export type FaultKind = keyof typeof FAULT_KINDS

/** The faults that act on one request, by kind. */
export type RequestFaults = ReadonlyMap<FaultKind, Fault>

export const NO_FAULTS: RequestFaults = new Map()

export interface FaultTable {
  list(): readonly Fault[]
  add(faults: readonly Fault[]): void
  clear(): void
  /** Whether a fault of this kind acts now; uses up one of its count. */
  take(kind: FaultKind): Fault | undefined
  /** What acts on the next request; uses up one of each count. */
  takeForRequest(): RequestFaults
}

export function createFaultTable(random: Random): FaultTable {
  let faults: Fault[] = []
  const take = (kind: FaultKind): Fault | undefined => {
    const at = faults.findIndex((fault) => fault.kind === kind)
    const fault = faults[at]
    if (fault === undefined || random() >= (fault.probability ?? 1)) return undefined
    if (fault.count === 1) faults = faults.toSpliced(at, 1)
    else if (fault.count !== undefined) faults = faults.with(at, { ...fault, count: fault.count - 1 })
    return fault
  }
  return {
    list: () => faults,
    add: (more) => {
      faults = [...faults, ...more]
    },
    clear: () => {
      faults = []
    },
    take,
    takeForRequest() {
      if (faults.length === 0) return NO_FAULTS
      const acting = new Map<FaultKind, Fault>()
      for (const kind of REQUEST_KINDS) {
        const fault = take(kind)
        if (fault) acting.set(kind, fault)
      }
      return acting
    },
  }
}

/**
 * Reads the body of `POST /admin/fault`: one fault, or `{"faults": [...]}`. Fields a kind needs and does not
 * get have defaults (`FAULT_KINDS`). Returns the reason when something is wrong.
 */
export function readFaults(value: unknown): readonly Fault[] | string {
  if (!isRecord(value)) return 'want an object: one fault, or {"faults": [...]}'
  if (!('faults' in value)) {
    const fault = readFault(value)
    return typeof fault === 'string' ? fault : [fault]
  }
  if (!Array.isArray(value.faults)) return '"faults" must be a list'
  const read = value.faults.map(readFault)
  return read.find((fault) => typeof fault === 'string') ?? read.filter((fault) => typeof fault !== 'string')
}

const REQUEST_KINDS = [
  'status',
  'ttft_hang',
  'cut',
  'stall',
  'slow_drip',
  'no_done',
  'finish_abort',
  'error_frame',
  'crash',
] as const

const LIMITS: Readonly<Record<string, readonly [least: number, most: number]>> = {
  count: [1, 1e9],
  probability: [0, 1],
  status: [400, 599],
  retryAfterS: [0, 86_400],
  afterTokens: [0, 1e9],
  durationMs: [1, 86_400_000],
  delayMs: [1, 600_000],
  exitCode: [0, 255],
}

function readFault(value: unknown): Fault | string {
  if (!isRecord(value)) return 'a fault must be an object with a "kind"'
  const { kind, reason, ...fields } = value
  if (!isFaultKind(kind))
    return `unknown fault kind ${JSON.stringify(kind)}; known: ${Object.keys(FAULT_KINDS).join(', ')}`
  for (const [name, field] of Object.entries(fields)) {
    const limits = LIMITS[name]
    if (limits === undefined) return `unknown field "${name}" of a fault`
    if (typeof field !== 'number' || !(field >= limits[0] && field <= limits[1]))
      return `"${name}" must be a number from ${limits[0]} to ${limits[1]}`
  }
  if (reason === undefined) return { ...FAULT_KINDS[kind], ...fields, kind }
  if (isCrashReason(reason)) return { ...FAULT_KINDS[kind], ...fields, kind, reason }
  return `"reason" must be one of ${Object.keys(CRASH_WORDS).join(', ')}`
}

function isFaultKind(kind: unknown): kind is FaultKind {
  return typeof kind === 'string' && Object.hasOwn(FAULT_KINDS, kind)
}

function isCrashReason(reason: unknown): reason is CrashReason {
  return typeof reason === 'string' && Object.hasOwn(CRASH_WORDS, reason)
}
