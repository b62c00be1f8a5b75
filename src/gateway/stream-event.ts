/** Tokens as the engine counted them. */
export interface Usage {
  readonly promptTokens: number | undefined
  readonly completionTokens: number | undefined
}

/** A failure told inside a stream or inside an answer with status 200. */
export type StreamFault =
  | {
      /** The engine gave up on it by itself (vLLM: `finish_reason: "abort"` under status 200). */
      readonly kind: 'aborted'
    }
  | {
      readonly kind: 'error'
      /** The status that the error names, 500 when it names none. */
      readonly status: number
      /** The JSON text of the error's object. */
      readonly body: string
    }

export interface EventFacts {
  /** It carries something of the answer: text, a tool call, a reason to finish, or anything we don't know. */
  readonly output: boolean
  readonly finishes: number
  readonly usage: Usage | undefined
  readonly fault: StreamFault | undefined
}

/** What one event of a stream says; `data` is its JSON text, bytes as latin1. */
export function classifyEvent(data: string, eventName: string): EventFacts {
  const value = parsed(data)
  if (!isRecord(value)) return { output: true, finishes: 0, usage: undefined, fault: undefined }
  const usage = usageOf(value.usage)
  const fault = errorIn(value, eventName)
  if (fault !== undefined) return { output: false, finishes: 0, usage, fault }
  if (!Array.isArray(value.choices)) return { output: true, finishes: 0, usage, fault: undefined }
  let output = false
  let finishes = 0
  for (const choice of value.choices) {
    if (!isRecord(choice)) continue
    if (choice.finish_reason === 'abort') return { output, finishes, usage, fault: { kind: 'aborted' } }
    if (typeof choice.finish_reason === 'string') finishes++
    if (hasContent(choice.text) || hasDelta(choice.delta)) output = true
  }
  return { output: output || finishes > 0, finishes, usage, fault: undefined }
}

/** What an answer in one piece says under status 200. Cheap for the many that hold neither error nor abort. */
export function classifyAnswer(text: string): {
  readonly usage: Usage | undefined
  readonly fault: StreamFault | undefined
} {
  const usage = lastUsage(text)
  if (saysAbort(text)) return { usage, fault: { kind: 'aborted' } }
  const error = ERROR.test(text) ? parsed(text) : undefined
  return { usage, fault: isRecord(error) ? errorIn(error, '') : undefined }
}

/** Errors stand first in all engines' answers. */
const ERROR = /^\s*\{\s*"error"\s*:/

/** Inside a JSON string the quotes would be escaped, so a match is never text of the model. */
function saysAbort(text: string): boolean {
  // Searched by a letter, not by the quote before it, of which JSON is full.
  for (let at = text.indexOf('finish_reason"'); at !== -1; at = text.indexOf('finish_reason"', at + 14)) {
    let value = at + 14
    while (text[value] === ' ' || text[value] === ':') value++
    if (text[at - 1] === '"' && text.startsWith('"abort"', value)) return true
  }
  return false
}

/** An error object, by any of the spellings that engines use. */
function errorIn(value: Readonly<Record<string, unknown>>, eventName: string): StreamFault | undefined {
  const { error } = value
  if (isRecord(error)) return { kind: 'error', status: statusOf(error.code), body: characters(error) }
  if (typeof error === 'string') return { kind: 'error', status: 500, body: characters({ message: error }) }
  if (value.object === 'error' || eventName === 'error') {
    return { kind: 'error', status: statusOf(value.code), body: characters(value) }
  }
  return undefined
}

function statusOf(code: unknown): number {
  const status = typeof code === 'string' ? Number(code) : code
  return typeof status === 'number' && Number.isInteger(status) && status >= 400 && status <= 599
    ? status
    : 500
}

/** A delta with anything in it but the role. */
function hasDelta(delta: unknown): boolean {
  if (!isRecord(delta)) return false
  return Object.entries(delta).some(([key, value]) => key !== 'role' && hasContent(value))
}

function hasContent(value: unknown): boolean {
  if (value === undefined || value === null || value === '') return false
  return !Array.isArray(value) || value.length > 0
}

function usageOf(value: unknown): Usage | undefined {
  if (!isRecord(value)) return undefined
  const promptTokens = typeof value.prompt_tokens === 'number' ? value.prompt_tokens : undefined
  const completionTokens = typeof value.completion_tokens === 'number' ? value.completion_tokens : undefined
  return promptTokens === undefined && completionTokens === undefined
    ? undefined
    : { promptTokens, completionTokens }
}

/** The last usage object of an answer, read without parsing the rest of it. */
function lastUsage(text: string): Usage | undefined {
  const at = text.lastIndexOf('"usage"')
  if (at === -1) return undefined
  const promptTokens = numberAfter(text, '"prompt_tokens"', at)
  const completionTokens = numberAfter(text, '"completion_tokens"', at)
  return promptTokens === undefined && completionTokens === undefined
    ? undefined
    : { promptTokens, completionTokens }
}

function numberAfter(text: string, key: string, from: number): number | undefined {
  const keyAt = text.indexOf(key, from)
  if (keyAt === -1) return undefined
  let at = keyAt + key.length
  while (text[at] === ' ' || text[at] === ':') at++
  let value: number | undefined
  for (let code = text.charCodeAt(at); code >= 0x30 && code <= 0x39; code = text.charCodeAt(++at)) {
    value = (value ?? 0) * 10 + code - 0x30
  }
  return value
}

/** JSON text of a value that was parsed from bytes read as latin1. */
function characters(value: unknown): string {
  return Buffer.from(JSON.stringify(value), 'latin1').toString('utf8')
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
