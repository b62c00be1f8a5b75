import { expect } from 'vitest'
import type { EngineProcess } from './engine-process.ts'

export interface ChatAnswer {
  readonly id: string
  readonly object: string
  readonly model: string
  readonly choices: readonly {
    readonly index: number
    readonly message?: { readonly role: string; readonly content: string }
    readonly delta?: { readonly role?: string; readonly content?: string | null }
    readonly text?: string
    readonly finish_reason: string | null
  }[]
  readonly usage?: Usage
}

export interface Usage {
  readonly prompt_tokens: number
  readonly completion_tokens?: number
  readonly total_tokens: number
}

/** What came over one event stream. */
export interface StreamedAnswer {
  readonly chunks: readonly ChatAnswer[]
  /** The last event was `[DONE]`. */
  readonly done: boolean
  readonly role: string | undefined
  readonly text: string
  readonly finishReason: string | undefined
  readonly usage: Usage | undefined
}

export const PROMPT = [{ role: 'user', content: 'Tell me about the yard.' }]

/** Posts JSON and returns the answer, which must be a success. */
export async function post<Answer = ChatAnswer>(
  engine: EngineProcess,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Promise<Answer> {
  const response = await engine.fetch(path, { method: 'POST', body: JSON.stringify(body) })
  const text = await response.text()
  if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`)
  return JSON.parse(text) as Answer
}

/** Posts with `stream: true` and reads the events to their end. */
export async function stream(
  engine: EngineProcess,
  path: string,
  body: Readonly<Record<string, unknown>>,
): Promise<StreamedAnswer> {
  const response = await engine.fetch(path, {
    method: 'POST',
    body: JSON.stringify({ ...body, stream: true }),
  })
  const text = await response.text()
  if (!response.ok || !(response.headers.get('content-type') ?? '').startsWith('text/event-stream')) {
    throw new Error(`${path} answered ${response.status}: ${text}`)
  }
  const events = text
    .split(/\r?\n/)
    .filter((line) => line.startsWith('data:'))
    .map((line) => line.slice(5).trim())
  const done = events.at(-1) === '[DONE]'
  const chunks = (done ? events.slice(0, -1) : events).map((event) => JSON.parse(event) as ChatAnswer)
  const choices = chunks.flatMap((chunk) => chunk.choices)
  return {
    chunks,
    done,
    role: choices.find((choice) => choice.delta?.role !== undefined)?.delta?.role,
    text: choices.map((choice) => choice.delta?.content ?? choice.text ?? '').join(''),
    finishReason: choices.findLast((choice) => choice.finish_reason != null)?.finish_reason ?? undefined,
    usage: chunks.findLast((chunk) => chunk.usage != null)?.usage,
  }
}

/** Numbers are there, add up, and keep to what was asked for. */
export function checkUsage(usage: Usage | undefined, most: number): void {
  expect(usage).toBeDefined()
  const {
    prompt_tokens: prompt = 0,
    completion_tokens: completion = 0,
    total_tokens: total = 0,
  } = usage ?? {}
  expect(prompt).toBeGreaterThan(0)
  expect(completion).toBeGreaterThan(0)
  expect(completion).toBeLessThanOrEqual(most)
  expect(total).toBe(prompt + completion)
}
