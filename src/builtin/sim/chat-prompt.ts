import { hashSeed } from './block-hash.ts'
import { isRecord, isString, type JsonFields } from './json-fields.ts'
import { MESSAGE_TOKEN, tokenize } from './tokens.ts'

/** A prompt ready for the core, and the text an echo repeats. */
export interface Prompt {
  readonly tokens: readonly number[]
  readonly text: string
}

/**
 * The messages through a chat template. Each message is tokenized by itself, so that a longer conversation
 * begins with the very tokens of the shorter one and finds them in the prefix cache. Undefined, with a problem
 * noted, when the messages are malformed.
 */
export function chatPrompt(fields: JsonFields): Prompt | undefined {
  const messages = fields.raw('messages')
  if (!Array.isArray(messages) || messages.length === 0) {
    fields.fail('messages', 'messages must be a list with at least one message')
    return undefined
  }
  const tokens: number[] = []
  let text = ''
  for (const message of messages) {
    const role = isRecord(message) ? message.role : undefined
    if (!isRecord(message) || !isString(role)) {
      fields.fail('messages', 'each message must be an object with a role')
      return undefined
    }
    const content = contentText(message.content) + toolCallText(message.tool_calls)
    if (role === 'user') text = content
    pushAll(tokens, [MESSAGE_TOKEN, ...tokenize(`${role}\n`)])
    pushAll(tokens, tokenize(content))
  }
  const tools = fields.raw('tools')
  // Templates put the tools first; they are part of the prefix.
  const before = tools === undefined ? [] : tokenize(JSON.stringify(tools))
  return { tokens: [...before, ...tokens, MESSAGE_TOKEN, ...ASSISTANT], text }
}

const ASSISTANT = tokenize('assistant\n')

function contentText(content: unknown): string {
  if (isString(content)) return content
  if (!Array.isArray(content)) return ''
  return content.map(partText).join('')
}

function partText(part: unknown): string {
  if (!isRecord(part)) return ''
  if (isString(part.text)) return part.text
  // An image or sound costs tokens and is cached by content, so it stands as a run of text made of its hash.
  return ` <${String(part.type)}:${String(hashSeed(JSON.stringify(part))).repeat(MEDIA_REPEATS)}>`
}

/** About 576 tokens, an image of a common vision encoder. */
const MEDIA_REPEATS = 108

function toolCallText(calls: unknown): string {
  return Array.isArray(calls) ? JSON.stringify(calls) : ''
}

/** `push(...long)` would put a long prompt on the stack. */
function pushAll(into: number[], from: readonly number[]): void {
  for (const token of from) into.push(token)
}
