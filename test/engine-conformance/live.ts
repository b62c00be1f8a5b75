import type { TestContext } from 'vitest'
import type { Launch } from '../../src/engines/engine.ts'
import { EngineProcess, freePort } from './engine-process.ts'
import { PROMPT } from './openai-client.ts'
import type { Ability, EngineUnderTest } from './subject.ts'

/** Large models take minutes to load. */
export const READY_MS = 600_000

/** The engine under test and a process of it that runs all the while. */
export class Live {
  #subject: EngineUnderTest | undefined
  #engine: EngineProcess | undefined
  verdicts: readonly string[] = []

  async open(subject: EngineUnderTest): Promise<void> {
    this.#subject = subject
    this.#engine = await this.start({ ...subject.text, ...subject.long.launch })
    this.verdicts = await this.#engine.untilReady(READY_MS)
  }

  async close(): Promise<void> {
    await this.#engine?.[Symbol.asyncDispose]()
    await this.#subject?.[Symbol.asyncDispose]?.()
  }

  get subject(): EngineUnderTest {
    return given(this.#subject)
  }

  get engine(): EngineProcess {
    return given(this.#engine)
  }

  async start(launch: Omit<Launch, 'port'>, moreArgs: readonly string[] = []): Promise<EngineProcess> {
    return EngineProcess.start(this.subject.engine, { ...launch, port: await freePort() }, moreArgs)
  }

  /** A process of its own, ready. */
  async started(launch: Omit<Launch, 'port'>): Promise<EngineProcess> {
    const process = await this.start(launch)
    await process.untilReady(READY_MS)
    return process
  }

  /** A chat request with few words, the same each time. */
  ask(fields: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
    return {
      model: this.subject.text.servedName,
      messages: PROMPT,
      temperature: 0,
      max_tokens: 12,
      ...fields,
    }
  }

  /** One that runs until somebody ends it. */
  askLong(fields: Readonly<Record<string, unknown>> = {}): Readonly<Record<string, unknown>> {
    return this.ask({ max_tokens: this.subject.long.maxTokens, ignore_eos: true, ...fields })
  }

  /** Skips the test, aloud, when the engine lacks what it is about. */
  needs(context: TestContext, ...abilities: readonly Ability[]): void {
    for (const ability of abilities) {
      const why = this.subject.lacks[ability]
      if (why !== undefined) context.skip(why)
    }
  }
}

/** What a subject must bring for what it does not lack. */
export function given<Value>(value: Value | undefined): Value {
  if (value === undefined)
    throw new Error('the subject neither brings this nor says that the engine lacks it')
  return value
}
