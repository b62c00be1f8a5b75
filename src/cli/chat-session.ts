import { YardError } from '../base/errors.ts'
import { statsLine } from './chat-stats.ts'
import type { Invocation } from './command.ts'
import { connect } from './connection.ts'
import {
  type ChatMessage,
  type ChatParameters,
  type GatewayAccess,
  listServedModels,
  streamChat,
} from './inference.ts'
import { runRepl } from './repl.ts'
import { parseCount } from './units.ts'
import type { World } from './world.ts'

const MAX_STDIN_BYTES = 16 * 2 ** 20

/** One answer when there is a prompt or piped text, else the conversation. */
export async function runChat({ world, globals, args, options }: Invocation): Promise<number> {
  const connection = await connect(world, globals)
  const access: GatewayAccess = {
    fetch: world.fetch,
    baseUrl: await connection.gateway(),
    token: connection.token,
    nowMs: () => world.clock.monotonicMs(),
  }
  const [asked, ...words] = args.filter((word) => word !== undefined)
  const model = asked ?? (await onlyModel(access))
  const parameters = parametersOf(options)
  const system = typeof options.system === 'string' ? options.system : undefined
  const piped = world.stdinIsTty ? '' : (await world.readStdin(MAX_STDIN_BYTES)).trim()
  const prompt = [piped, words.join(' ')].filter((part) => part !== '').join('\n\n')
  if (prompt === '' && world.stdinIsTty) {
    return runRepl(world, access, {
      model,
      system,
      parameters,
      stats: options.stats === true,
      keepHistory: options.history !== false,
    })
  }
  if (prompt === '')
    throw new YardError('usage', 'there is nothing to say', { hint: `yard chat ${model} "Hello"` })
  return answerOnce(world, access, {
    model,
    system,
    prompt,
    parameters,
    stats: options.stats === true,
    timeoutMs: globals.timeoutMs,
  })
}

interface OneAnswer {
  readonly model: string
  readonly system: string | undefined
  readonly prompt: string
  readonly parameters: ChatParameters
  readonly stats: boolean
  readonly timeoutMs: number | undefined
}

async function answerOnce(world: World, access: GatewayAccess, ask: OneAnswer): Promise<number> {
  const stop = new AbortController()
  const release = world.onInterrupt(() => stop.abort(new YardError('interrupted', 'interrupted')))
  const timer =
    ask.timeoutMs === undefined
      ? undefined
      : world.clock.after(ask.timeoutMs, () =>
          stop.abort(new YardError('timed_out', `no complete answer within ${ask.timeoutMs} ms`)),
        )
  const messages: ChatMessage[] = [
    ...(ask.system === undefined ? [] : [{ role: 'system' as const, content: ask.system }]),
    { role: 'user', content: ask.prompt },
  ]
  try {
    let lastPiece = ''
    const { stats } = await streamChat(
      access,
      { model: ask.model, messages, parameters: ask.parameters },
      (piece) => {
        lastPiece = piece
        world.stdout.write(piece)
      },
      stop.signal,
    )
    if (!lastPiece.endsWith('\n')) world.stdout.write('\n')
    if (ask.stats) world.stderr.write(`${statsLine(stats)}\n`)
    return 0
  } catch (error) {
    throw stop.signal.aborted ? stop.signal.reason : error
  } finally {
    timer?.cancel()
    release()
  }
}

async function onlyModel(access: GatewayAccess): Promise<string> {
  const models = await listServedModels(access, AbortSignal.timeout(10_000))
  const [only] = models
  if (models.length === 1 && only !== undefined) return only
  throw new YardError(
    'usage',
    models.length === 0 ? 'no model is loaded' : `say which model: ${models.join(', ')}`,
    {
      hint: models.length === 0 ? 'yard load builtin:tiny' : `yard chat ${only ?? ''}`,
    },
  )
}

function parametersOf(options: Invocation['options']): ChatParameters {
  const parameters: { temperature?: number; maxTokens?: number; seed?: number } = {}
  if (typeof options.temperature === 'string') {
    const value = Number(options.temperature)
    if (!(value >= 0 && value <= 2))
      throw new YardError('usage', `--temperature takes a number from 0 to 2, not "${options.temperature}"`)
    parameters.temperature = value
  }
  if (typeof options.maxTokens === 'string')
    parameters.maxTokens = parseCount(options.maxTokens, '--max-tokens', 1, 1_000_000)
  if (typeof options.seed === 'string') parameters.seed = parseCount(options.seed, '--seed', 0, 2 ** 31 - 1)
  return parameters
}
