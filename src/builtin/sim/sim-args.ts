import { type Draft, FLAGS } from './sim-flags.ts'
import { DEFAULTS, type SimOptions, STARTUP_FAILURES } from './sim-options.ts'
import { PROFILE_NAMES } from './step-time.ts'

export type ParsedSimArgs =
  | { readonly kind: 'options'; readonly options: SimOptions }
  | { readonly kind: 'help'; readonly text: string }
  /** `message` is for stderr, in argparse's words; vLLM exits with 2. */
  | { readonly kind: 'error'; readonly message: string; readonly exitCode: 2 }

/**
 * Reads the flags of `vllm serve` that mean something to a simulation, those that do not but are common
 * (accepted and ignored), and the simulation's own. Anything else is refused as vLLM refuses it. The key comes
 * from `--api-key`, else `VLLM_API_KEY`, else `YARD_ENGINE_KEY`.
 */
export function parseSimArgs(
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>> = {},
): ParsedSimArgs {
  if (argv.includes('--help') || argv.includes('-h')) return { kind: 'help', text: SIM_HELP }
  const given: Draft = {}
  const unknown: string[] = []
  for (let at = 0; at < argv.length; ) {
    const word = argv[at] ?? ''
    at++
    if (!word.startsWith('-') || word === '-') {
      if (given.model === undefined) given.model = word
      else unknown.push(word)
      continue
    }
    const equals = word.indexOf('=')
    const name = spelled(equals < 0 ? word : word.slice(0, equals))
    const values: string[] = equals < 0 ? [] : [word.slice(equals + 1)]
    const known = FLAGS.get(name)
    if (known === undefined) {
      unknown.push(word)
      continue
    }
    if (equals < 0) {
      while (values.length < known.most && at < argv.length && isValue(argv[at] ?? '')) {
        values.push(argv[at] ?? '')
        at++
      }
    }
    const problem = known.read(values, given)
    if (problem !== undefined) return refused(`argument ${known.names}: ${problem}`)
  }
  if (unknown.length > 0) return refused(`unrecognized arguments: ${unknown.join(' ')}`)
  if (given.model === undefined) return refused('the following arguments are required: --model')
  return finish(given, given.model, env)
}

export const SIM_HELP = `usage: yard engine sim --model NAME [options]

An OpenAI-compatible server that behaves like vLLM (batching, KV cache, prefix cache, metrics, failures)
without a model or a GPU.

As vLLM:
  --model NAME, --served-model-name NAME..., --host H (127.0.0.1), --port P (8000), --api-key KEY...
  --max-model-len N, --max-num-seqs N (256), --max-num-batched-tokens N (8192), --block-size N (16)
  --num-gpu-blocks-override N, --kv-cache-memory-bytes N, --gpu-memory-utilization F (0.92)
  --tensor-parallel-size N, --[no-]enable-prefix-caching, --max-num-queued-reqs N, --seed N
  --enable-lora, --max-loras N, --lora-modules NAME=PATH..., --shutdown-timeout SECONDS (0)
  --[no-]enable-prompt-tokens-details, --enable-force-include-usage, --enable-server-load-tracking
  --enable-request-id-headers, --runner auto|generate|pooling
Simulation:
  --speed F          times faster than the profile (1)
  --profile NAME     ${PROFILE_NAMES.join(', ')}
  --jitter F         relative deviation of step times (0)
  --startup-ms N     time from start to ready (0)
  --startup-fail     ${STARTUP_FAILURES.join(', ')}
  --mode             random or echo
Environment: VLLM_API_KEY, YARD_ENGINE_KEY, VLLM_ALLOW_RUNTIME_LORA_UPDATING
`

function finish(draft: Draft, model: string, env: Readonly<Record<string, string | undefined>>) {
  const keys = draft.apiKeys ?? [env.VLLM_API_KEY || env.YARD_ENGINE_KEY || ''].filter((key) => key !== '')
  const options: SimOptions = {
    ...DEFAULTS,
    ...withoutAbsent(draft),
    model,
    servedModelNames: draft.servedModelNames ?? [model],
    apiKeys: keys,
    runtimeLora: ['1', 'true'].includes((env.VLLM_ALLOW_RUNTIME_LORA_UPDATING ?? '').toLowerCase()),
  }
  if (options.maxNumBatchedTokens < options.maxNumSeqs)
    return refused(
      `max_num_batched_tokens (${options.maxNumBatchedTokens}) must be greater than or equal to max_num_seqs (${options.maxNumSeqs}).`,
    )
  if (options.loraModules.length > 0 && !options.enableLora)
    return refused('argument --lora-modules: needs --enable-lora')
  return { kind: 'options' as const, options }
}

function refused(message: string): ParsedSimArgs {
  return { kind: 'error', exitCode: 2, message: `${USAGE}\nvllm serve: error: ${message}\n` }
}

export const USAGE = 'usage: vllm serve [model_tag] [options]'

/** argparse of vLLM takes underscores for dashes. */
function spelled(name: string): string {
  return name.startsWith('--') ? name.replaceAll('_', '-') : name
}

/** A negative number is a value, as for argparse. */
function isValue(word: string): boolean {
  return !word.startsWith('-') || /^-\d/.test(word)
}

function withoutAbsent(draft: Draft): Partial<SimOptions> {
  return Object.fromEntries(Object.entries(draft).filter(([, value]) => value !== undefined))
}
