import { errorText } from '../../base/errors.ts'
import { Fields, isObject, type JsonObject } from './fields.ts'
import { invalidValue, type Refusal, refusal, unsupported } from './refusal.ts'

export interface ChatMessage {
  readonly role: string
  readonly content: string
  readonly name?: string
}

/** Turns messages into the text that the model was taught to continue. */
export type ChatTemplate = (
  messages: readonly ChatMessage[],
  options: { readonly addGenerationPrompt: boolean; readonly variables: JsonObject },
) => { readonly kind: 'ok'; readonly prompt: string } | Refusal

/** What a model without a template is spoken to in: the most common format. */
const CHATML =
  "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}" +
  "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

/**
 * The template of a GGUF file, ready to be used. A template may refuse messages (`raise_exception`, as for a system
 * message that the model was not made for): that is the client's 400, with the template's words.
 */
export async function compileChatTemplate(
  source: string | undefined,
  texts: { readonly beginText: string; readonly endText: string },
): Promise<ChatTemplate> {
  const { Template } = await import('@huggingface/jinja')
  let template: InstanceType<typeof Template>
  try {
    template = new Template(source ?? CHATML)
  } catch (error) {
    const message = `this model's chat template cannot be read (${errorText(error)}); use /v1/completions`
    return () => refusal(400, 'chat_template_unusable', message)
  }
  return (messages, { addGenerationPrompt, variables }) => {
    try {
      const prompt = template.render({
        ...variables,
        messages,
        add_generation_prompt: addGenerationPrompt,
        bos_token: texts.beginText,
        eos_token: texts.endText,
      })
      return { kind: 'ok', prompt }
    } catch (error) {
      return invalidValue('messages', `the model's chat template refuses these messages: ${errorText(error)}`)
    }
  }
}

export interface ChatFields {
  readonly kind: 'ok'
  readonly messages: readonly ChatMessage[]
  readonly addGenerationPrompt: boolean
  readonly variables: JsonObject
}

const ROLES = ['system', 'developer', 'user', 'assistant', 'tool', 'function']

/** Reads `messages` and what else decides the prompt of a chat. */
export function readChatFields(body: JsonObject): ChatFields | Refusal {
  const list = body.messages
  if (!Array.isArray(list) || list.length === 0) {
    return invalidValue('messages', '"messages" must be a list with at least one message')
  }
  const messages: ChatMessage[] = []
  for (const [index, item] of list.entries()) {
    const message = readMessage(item, `messages[${index}]`)
    if ('kind' in message) return message
    messages.push(message)
  }
  const fields = new Fields(body)
  const addGenerationPrompt = fields.boolean('add_generation_prompt') ?? true
  const variables = fields.object('chat_template_kwargs') ?? {}
  return fields.problem ?? { kind: 'ok', messages, addGenerationPrompt, variables }
}

function readMessage(item: unknown, param: string): ChatMessage | Refusal {
  if (!isObject(item)) return invalidValue(param, `${param} must be an object`)
  const { role, content, name } = item
  if (typeof role !== 'string' || !ROLES.includes(role)) {
    return invalidValue(`${param}.role`, `${param}.role must be one of ${ROLES.join(', ')}`)
  }
  if (item.tool_calls !== undefined && item.tool_calls !== null) return unsupported(`${param}.tool_calls`)
  const text = readContent(content, `${param}.content`)
  if (typeof text !== 'string') return text
  return {
    // "developer" is the newer word for the same thing; templates know only the older.
    role: role === 'developer' ? 'system' : role,
    content: text,
    ...(typeof name === 'string' ? { name } : {}),
  }
}

function readContent(content: unknown, param: string): string | Refusal {
  if (typeof content === 'string') return content
  if (content === undefined || content === null) return ''
  if (!Array.isArray(content)) return invalidValue(param, `${param} must be a string or a list of text parts`)
  const texts: string[] = []
  for (const part of content) {
    if (!isObject(part) || part.type !== 'text' || typeof part.text !== 'string') {
      return invalidValue(param, `${param} may hold only text parts; this model reads no images or sound`)
    }
    texts.push(part.text)
  }
  return texts.join('\n')
}
