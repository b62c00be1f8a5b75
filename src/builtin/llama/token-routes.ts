import { readChatFields } from './chat-prompt.ts'
import { type Exchange, readJson, sendJson } from './exchange.ts'
import { Fields, type JsonObject } from './fields.ts'
import { readItems, tokenize } from './prompts.ts'
import { invalidValue, type Refusal, refusal } from './refusal.ts'
import type { Finished, Serving } from './serving.ts'

/**
 * `/tokenize` in vLLM's form (`prompt` or `messages`) and llama-server's (`content`): exactly the tokens that a
 * request with the same text would cost.
 */
export async function serveTokenize(serving: Serving, exchange: Exchange): Promise<Finished | Refusal> {
  const read = await readJson(exchange.request)
  if (read.kind !== 'ok') return read.kind === 'gone' ? { kind: 'finished', outcome: 'aborted' } : read
  const tokens = tokensOf(serving, read.body)
  if ('kind' in tokens) return tokens
  sendJson(exchange, 200, { count: tokens.length, max_model_len: serving.contextTokens, tokens })
  return { kind: 'finished', outcome: 'other' }
}

/** `/detokenize`: the text of `tokens`, under vLLM's name for it and llama-server's. */
export async function serveDetokenize(serving: Serving, exchange: Exchange): Promise<Finished | Refusal> {
  const read = await readJson(exchange.request)
  if (read.kind !== 'ok') return read.kind === 'gone' ? { kind: 'finished', outcome: 'aborted' } : read
  const { tokens } = read.body
  if (!Array.isArray(tokens)) return invalidValue('tokens', '"tokens" must be a list of tokens')
  const items = tokens.length === 0 ? [[]] : readItems([tokens], 'tokens', serving.file.facts.vocabSize ?? 0)
  if (!Array.isArray(items)) return items as Refusal
  const prompt = serving.model.detokenize(tokens as readonly number[], true)
  sendJson(exchange, 200, { prompt, content: prompt })
  return { kind: 'finished', outcome: 'other' }
}

function tokensOf(serving: Serving, body: JsonObject): readonly number[] | Refusal {
  const fields = new Fields(body)
  const text = fields.string('prompt') ?? fields.string('content')
  const withSpecial = fields.boolean('add_special_tokens') ?? fields.boolean('add_special') ?? true
  if (fields.problem !== undefined) return fields.problem
  if (text !== undefined) return withSpecial ? tokenize(serving, text) : serving.model.tokenize(text, true)
  if (body.messages === undefined) return invalidValue('prompt', 'give "prompt", "content" or "messages"')
  const { task } = serving
  if (task.kind !== 'text') return refusal(400, 'not_supported', 'an embedding model has no chat template')
  const chat = readChatFields(body)
  if (chat.kind === 'refused') return chat
  const rendered = task.chatTemplate(chat.messages, chat)
  return rendered.kind === 'refused' ? rendered : tokenize(serving, rendered.prompt)
}
