import { errorText, isYardError } from '../base/errors.ts'
import { statsLine } from './chat-stats.ts'
import {
  type ChatMessage,
  type ChatParameters,
  type GatewayAccess,
  listServedModels,
  streamChat,
} from './inference.ts'
import type { World } from './world.ts'

export interface ReplOptions {
  readonly model: string
  readonly system: string | undefined
  readonly parameters: ChatParameters
  readonly stats: boolean
  readonly keepHistory: boolean
}

interface Session {
  model: string
  system: string | undefined
  parameters: ChatParameters
  stats: boolean
  messages: ChatMessage[]
}

const HELP = `/set system TEXT        what the model is told before everything
/set temperature N      0 to 2
/set max-tokens N       longest answer
/set seed N             same seed, same answer
/set stats on|off       times and tokens after each answer
/show                   the settings
/model [NAME]           talk to another model, or list them
/retry                  the last question again
/clear                  forget the conversation
/bye                    leave (also Ctrl-D)
"""                     begins and ends a text of several lines
Ctrl-C stops an answer; at the prompt it clears the line.
`

/** A conversation at a terminal. Ends with /bye or at the end of input; answers with exit code 0. */
export async function runRepl(world: World, access: GatewayAccess, options: ReplOptions): Promise<number> {
  const session: Session = {
    model: options.model,
    system: options.system,
    parameters: options.parameters,
    stats: options.stats,
    messages: [],
  }
  const reader = world.openLineReader([])
  world.stderr.write(`Talking to ${session.model}. /? for help, Ctrl-D to leave.\n`)
  try {
    for (;;) {
      const text = await readMessage(world, reader.ask.bind(reader))
      if (text === undefined) return 0
      if (text === '') continue
      if (text.startsWith('/')) {
        if ((await obey(world, access, session, text)) === 'leave') return 0
        continue
      }
      session.messages.push({ role: 'user', content: text })
      await answer(world, access, session)
    }
  } finally {
    reader.close()
  }
}

/** One message: a line, or all lines between `"""` and `"""`. */
async function readMessage(
  world: World,
  ask: (prompt: string) => Promise<string | undefined | { readonly interrupted: true }>,
): Promise<string | undefined> {
  const first = await ask('>>> ')
  if (first === undefined) return undefined
  if (typeof first !== 'string') {
    world.stderr.write('\n(Ctrl-D or /bye leaves)\n')
    return ''
  }
  const line = first.trim()
  if (!line.startsWith('"""')) return line
  const lines = [line.slice(3)]
  if (line.length >= 6 && line.endsWith('"""')) return line.slice(3, -3)
  for (;;) {
    const next = await ask('... ')
    if (next === undefined || typeof next !== 'string') return ''
    if (next.trimEnd().endsWith('"""')) {
      lines.push(next.trimEnd().slice(0, -3))
      return lines.join('\n').trim()
    }
    lines.push(next)
  }
}

async function answer(world: World, access: GatewayAccess, session: Session): Promise<void> {
  const stop = new AbortController()
  const release = world.onInterrupt(() => stop.abort())
  let said = ''
  const messages: ChatMessage[] = [
    ...(session.system === undefined ? [] : [{ role: 'system' as const, content: session.system }]),
    ...session.messages,
  ]
  try {
    const { text, stats } = await streamChat(
      access,
      { model: session.model, messages, parameters: session.parameters },
      (piece) => {
        said += piece
        world.stdout.write(piece)
      },
      stop.signal,
    )
    world.stdout.write('\n')
    session.messages.push({ role: 'assistant', content: text })
    if (session.stats) world.stderr.write(`${statsLine(stats)}\n`)
  } catch (error) {
    if (said !== '') world.stdout.write('\n')
    if (stop.signal.aborted) {
      world.stderr.write('(stopped)\n')
      if (said !== '') session.messages.push({ role: 'assistant', content: said })
      else session.messages.pop()
      return
    }
    session.messages.pop()
    world.stderr.write(
      `error: ${errorText(error)}\n${isYardError(error) && error.hint !== undefined ? `hint: ${error.hint}\n` : ''}`,
    )
  } finally {
    release()
  }
}

async function obey(
  world: World,
  access: GatewayAccess,
  session: Session,
  line: string,
): Promise<'stay' | 'leave'> {
  const [command = '', ...words] = line.slice(1).split(/\s+/)
  switch (command) {
    case 'bye':
    case 'exit':
    case 'quit':
      return 'leave'
    case '?':
    case 'help':
      world.stderr.write(HELP)
      return 'stay'
    case 'clear':
      session.messages = []
      world.stderr.write('The conversation is forgotten.\n')
      return 'stay'
    case 'show':
      world.stderr.write(
        `${JSON.stringify({ model: session.model, system: session.system, ...session.parameters, stats: session.stats, messages: session.messages.length }, undefined, 2)}\n`,
      )
      return 'stay'
    case 'model':
      await changeModel(world, access, session, words[0])
      return 'stay'
    case 'retry': {
      while (session.messages.at(-1)?.role === 'assistant') session.messages.pop()
      if (session.messages.length > 0) await answer(world, access, session)
      else world.stderr.write('Nothing was asked yet.\n')
      return 'stay'
    }
    case 'set':
      world.stderr.write(`${change(session, words[0] ?? '', words.slice(1).join(' '))}\n`)
      return 'stay'
    default:
      world.stderr.write(`There is no /${command}. Type /? for help.\n`)
      return 'stay'
  }
}

async function changeModel(
  world: World,
  access: GatewayAccess,
  session: Session,
  name: string | undefined,
): Promise<void> {
  const models = await listServedModels(access, AbortSignal.timeout(10_000)).catch((error: unknown) => {
    world.stderr.write(`error: ${errorText(error)}\n`)
    return undefined
  })
  if (models === undefined) return
  if (name === undefined) {
    world.stderr.write(
      `${models.map((model) => `${model === session.model ? '●' : ' '} ${model}`).join('\n')}\n`,
    )
  } else if (models.includes(name)) {
    session.model = name
    world.stderr.write(`Talking to ${name}.\n`)
  } else {
    world.stderr.write(`There is no model "${name}": ${models.join(', ')}\n`)
  }
}

/** Changes one setting and says so, or says why not. */
function change(session: Session, key: string, text: string): string {
  const number = Number(text)
  switch (key) {
    case 'system':
      session.system = text === '' ? undefined : text
      return text === '' ? 'No system message.' : 'System message set.'
    case 'temperature':
      if (text === '' || !(number >= 0 && number <= 2)) return 'The temperature is a number from 0 to 2.'
      session.parameters = { ...session.parameters, temperature: number }
      return `Temperature ${number}.`
    case 'max-tokens':
      if (!Number.isInteger(number) || number < 1) return 'max-tokens is a whole number from 1.'
      session.parameters = { ...session.parameters, maxTokens: number }
      return `At most ${number} tokens.`
    case 'seed':
      if (text === '' || !Number.isInteger(number) || number < 0) return 'The seed is a whole number from 0.'
      session.parameters = { ...session.parameters, seed: number }
      return `Seed ${number}.`
    case 'stats':
      session.stats = text !== 'off'
      return `Stats ${session.stats ? 'on' : 'off'}.`
    default:
      return 'Settings: system, temperature, max-tokens, seed, stats.'
  }
}
