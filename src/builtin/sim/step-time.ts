/** What one engine step computes. */
export interface StepLoad {
  /** Prompt tokens computed in this step (not those found in the prefix cache). */
  readonly prefillTokens: number
  /** Sequences that get one more output token without prefill. */
  readonly decodeSequences: number
  /** Share of KV blocks held by sequences, 0 to 1. */
  readonly activeKv: number
  /** Running sequences over `max_num_seqs`, 0 to 1. */
  readonly batchFill: number
}

/** How fast a simulated device is and how much memory it has. Durations in milliseconds at speed 1. */
export interface Profile {
  readonly name: string
  readonly stepMs: (load: StepLoad) => number
  /** KV cache bytes of one token, all layers, 16-bit. */
  readonly kvBytesPerToken: number
  readonly deviceMemoryBytes: number
  readonly weightsBytes: number
}

export const PROFILE_NAMES = ['mocker', '8b-h100', '70b-tp8', 'small-l40s', 'constant:MS'] as const

/**
 * A profile by name, or undefined when there is none. `mocker` is the step polynomial of NVIDIA Dynamo's mock
 * engine (lib/mocker perf_model.rs), measured on an 8B model: a convex prefill and a decode that slows as the
 * cache fills. The device profiles are the published means of llm-d-inference-sim 0.9 (time per decode step,
 * prefill overhead and time per prompt token, factor under full load). `constant:20` takes 20 ms a step
 * whatever it holds, for load generators that need an exact pace.
 */
export function profileByName(name: string): Profile | undefined {
  const constant = /^constant:(\d+(?:\.\d+)?)$/.exec(name)
  if (constant) {
    const stepMs = Number(constant[1])
    return stepMs > 0 ? { ...EIGHT_B, name, stepMs: () => stepMs } : undefined
  }
  return PROFILES.find((profile) => profile.name === name)
}

const GIB = 2 ** 30
const EIGHT_B = { kvBytesPerToken: 131_072, deviceMemoryBytes: 80 * GIB, weightsBytes: 15 * GIB }

export const MOCKER: Profile = {
  ...EIGHT_B,
  name: 'mocker',
  stepMs: ({ prefillTokens, decodeSequences, activeKv }) =>
    (prefillTokens > 0 ? 4.209989e-7 * prefillTokens ** 2 + 1.518344e-2 * prefillTokens + 16.50142 : 0) +
    (decodeSequences > 0 ? Math.max(1, -25.74 * activeKv ** 2 + 54.01 * activeKv + 5.74) : 0),
}

const PROFILES: readonly Profile[] = [
  MOCKER,
  {
    ...EIGHT_B,
    name: '8b-h100',
    stepMs: linear({ decodeMs: 12, overheadMs: 30, perTokenMs: 0.25, fullLoad: 2 }),
  },
  {
    name: '70b-tp8',
    kvBytesPerToken: 327_680,
    deviceMemoryBytes: 8 * 80 * GIB,
    weightsBytes: 131 * GIB,
    stepMs: linear({ decodeMs: 25, overheadMs: 80, perTokenMs: 0.5, fullLoad: 3 }),
  },
  {
    name: 'small-l40s',
    kvBytesPerToken: 36_864,
    deviceMemoryBytes: 48 * GIB,
    weightsBytes: 3 * GIB,
    stepMs: linear({ decodeMs: 15, overheadMs: 30, perTokenMs: 0.3, fullLoad: 1.5 }),
  },
]

function linear(of: { decodeMs: number; overheadMs: number; perTokenMs: number; fullLoad: number }) {
  return ({ prefillTokens, decodeSequences, batchFill }: StepLoad): number => {
    const prefillMs = prefillTokens > 0 ? of.overheadMs + of.perTokenMs * prefillTokens : 0
    const decodeMs = decodeSequences > 0 ? of.decodeMs : 0
    return (prefillMs + decodeMs) * (1 + (of.fullLoad - 1) * batchFill)
  }
}
