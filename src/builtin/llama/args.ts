import { parseArgs } from 'node:util'
import type { LlamaOptions } from './options.ts'

export type LlamaArgs =
  | { readonly kind: 'ok'; readonly options: LlamaOptions }
  | { readonly kind: 'invalid'; readonly message: string }

/** What `yard engine llama --help` prints. */
export const LLAMA_USAGE = `yard engine llama --model FILE --served-model-name NAME[,NAME] --port PORT

  --model FILE               GGUF file to serve
  --served-model-name NAMES  names that requests use, separated by commas; may be repeated
  --host ADDRESS             address to listen on (127.0.0.1)
  --port PORT                port to listen on; 0 takes a free one
  --ctx-size N               tokens of one sequence (the model's own, at most 4096)
  --parallel N               sequences at the same time (1)
  --threads N                processors to compute on (1 for a small model, else all but one)
  --embeddings               serve embeddings instead of text
  --lora NAME=FILE           adapter served under its own name; may be repeated
  --runtime-lora             allow adapters to be loaded and unloaded over HTTP
  --max-loras N              adapters at the same time (4)
  --max-queue N              requests that may wait (64)
  --queue-timeout SECONDS    longest wait for a sequence (60)
  --drain-timeout SECONDS    time for running requests after SIGTERM (30)

The bearer key for all but /health is read from YARD_ENGINE_KEY; without it no key is asked for.

Exit codes: 0 stopped by a signal, 1 model not loaded (the last line on stderr says why), 2 bad arguments,
3 cannot listen, 4 llama.cpp failed while running, 130 and 143 ended at once by a second signal.`

/** Reads the words after `yard engine llama`. Unknown flags and values out of range are refused. */
export function parseLlamaArgs(argv: readonly string[]): LlamaArgs {
  let values: ReturnType<typeof parseFlags>
  try {
    values = parseFlags(argv)
  } catch (error) {
    return invalid(error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error))
  }
  const problems: string[] = []
  const int = (flag: keyof typeof RANGES, absent: number): number => {
    const number = wholeNumber(values[flag], RANGES[flag])
    if (values[flag] === undefined) return absent
    if (number === undefined) {
      problems.push(`--${flag} ${values[flag]} is not a whole number from ${RANGES[flag].join(' to ')}`)
    }
    return number ?? absent
  }
  const adapters = (values.lora ?? []).map((text) => {
    const at = text.indexOf('=')
    if (at < 1 || at === text.length - 1) problems.push(`--lora ${text} is not NAME=FILE`)
    return { name: text.slice(0, at), path: text.slice(at + 1) }
  })
  const names = (values['served-model-name'] ?? []).flatMap((text) => text.split(','))
  const [firstName, ...otherNames] = names
  const everyName = [...names, ...adapters.map(({ name }) => name)]
  if (everyName.some((name) => !isServableName(name)))
    problems.push('a model name is empty or longer than 256')
  if (new Set(everyName).size !== everyName.length) problems.push('a model name is there twice')
  if (values.model === undefined || values.model === '') problems.push('--model is missing')
  if (values.port === undefined) problems.push('--port is missing')
  if (values.embeddings && adapters.length > 0) problems.push('--lora cannot be used with --embeddings')
  const maxAdapters = int('max-loras', 4)
  if (adapters.length > maxAdapters) problems.push(`more adapters than --max-loras ${maxAdapters}`)
  const optional = (flag: 'ctx-size' | 'threads') =>
    values[flag] === undefined ? undefined : int(flag, RANGES[flag][0])
  const options = {
    modelPath: values.model ?? '',
    host: values.host ?? '127.0.0.1',
    port: int('port', 0),
    contextTokens: optional('ctx-size'),
    parallel: int('parallel', 1),
    threads: optional('threads'),
    embeddings: values.embeddings ?? false,
    adapters,
    runtimeAdapters: values['runtime-lora'] ?? false,
    maxAdapters,
    maxQueue: int('max-queue', 64),
    queueTimeoutMs: int('queue-timeout', 60) * 1000,
    drainTimeoutMs: int('drain-timeout', 30) * 1000,
  }
  if (firstName === undefined) return invalid('--served-model-name is missing')
  if (problems[0] !== undefined) return invalid(problems[0])
  return { kind: 'ok', options: { ...options, servedNames: [firstName, ...otherNames] } }
}

/** A name that can stand in a request's `model` field. */
export function isServableName(name: string): boolean {
  return name.length > 0 && name.length <= 256 && !/\s/.test(name)
}

const RANGES = {
  port: [0, 65_535],
  'ctx-size': [16, 4_194_304],
  parallel: [1, 64],
  threads: [1, 512],
  'max-loras': [0, 64],
  'max-queue': [0, 100_000],
  'queue-timeout': [0, 3600],
  'drain-timeout': [0, 3600],
} as const satisfies Record<string, readonly [number, number]>

function parseFlags(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    strict: true,
    allowPositionals: false,
    options: {
      model: { type: 'string' },
      'served-model-name': { type: 'string', multiple: true },
      host: { type: 'string' },
      port: { type: 'string' },
      'ctx-size': { type: 'string' },
      parallel: { type: 'string' },
      threads: { type: 'string' },
      embeddings: { type: 'boolean' },
      lora: { type: 'string', multiple: true },
      'runtime-lora': { type: 'boolean' },
      'max-loras': { type: 'string' },
      'max-queue': { type: 'string' },
      'queue-timeout': { type: 'string' },
      'drain-timeout': { type: 'string' },
    },
  }).values
}

function wholeNumber(text: string | undefined, [least, most]: readonly [number, number]): number | undefined {
  if (text === undefined || !/^\d{1,9}$/.test(text)) return undefined
  const number = Number(text)
  return number >= least && number <= most ? number : undefined
}

function invalid(message: string): LlamaArgs {
  return { kind: 'invalid', message }
}
