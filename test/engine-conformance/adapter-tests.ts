import { describe, expect, test } from 'vitest'
import type { EngineProcess } from './engine-process.ts'
import { given, type Live, READY_MS } from './live.ts'
import { post } from './openai-client.ts'

/** An engine serves adapters, by the calls and fields of its description. */
export function adapterTests(live: Live): void {
  describe('adapters', () => {
    const say = async (process: EngineProcess, fields: Readonly<Record<string, unknown>>) =>
      (
        await post(
          process,
          '/v1/chat/completions',
          live.ask({ max_tokens: 24, ignore_eos: true, seed: 3, ...fields }),
        )
      ).choices[0]?.message?.content

    const names = async (process: EngineProcess) => {
      const { data } = (await (await process.fetch('/v1/models')).json()) as { data: { id: string }[] }
      return data.map((model) => model.id)
    }

    test(
      'one that was given at start is served under its own name',
      async (context) => {
        live.needs(context, 'adapters')
        const { text, engine: adapted } = live.subject
        const adapter = given(live.subject.adapter)
        await using process = await live.started({ ...text, adapters: [adapter] })
        const fields = adapted.adapterFields?.({
          servedName: text.servedName,
          adapter: adapter.name,
          adapters: [adapter.name],
        })
        const withAdapter = await say(process, { model: adapter.name, ...fields })
        const base = await say(process, {})
        if (adapter.changesAnswers) expect(withAdapter).not.toBe(base)
        expect(await say(process, { model: adapter.name, ...fields })).toBe(withAdapter)
        expect(await say(process, {})).toBe(base)
      },
      READY_MS,
    )

    test(
      'one is loaded, served and unloaded while it runs, each twice without harm',
      async (context) => {
        live.needs(context, 'adapters', 'runtime_adapters')
        const { text, engine: adapted } = live.subject
        const adapter = given(live.subject.adapter)
        await using process = await live.started({ ...text, adapters: [adapter] })
        const other = { name: 'other-adapter', path: adapter.path }
        const load = adapted.loadAdapter(other)
        const unload = adapted.unloadAdapter(other.name)
        if (!load || !unload) throw new Error('an engine with lora: runtime has no calls for it')
        for (let times = 0; times < 2; times++) {
          expect(load.read(await process.call(load.call))).toEqual({ kind: 'ok' })
        }
        expect(await names(process)).toEqual(
          expect.arrayContaining([text.servedName, adapter.name, other.name]),
        )
        expect(await say(process, { model: other.name })).toMatch(/\S/)
        for (let times = 0; times < 2; times++) {
          expect(unload.read(await process.call(unload.call))).toEqual({ kind: 'ok' })
        }
        expect(await names(process)).not.toContain(other.name)
        expect(await names(process)).toContain(adapter.name)
      },
      READY_MS,
    )

    test(
      'one whose files are missing is refused with a message',
      async (context) => {
        live.needs(context, 'adapters', 'runtime_adapters')
        const { text, engine: adapted } = live.subject
        const adapter = given(live.subject.adapter)
        await using process = await live.started({ ...text, adapters: [adapter] })
        const load = adapted.loadAdapter({ name: 'missing', path: '/no/such/adapter.gguf' })
        expect(load?.read(await process.call(load.call))).toMatchObject({
          kind: 'failed',
          message: expect.stringMatching(/\/no\/such\/adapter\.gguf/),
        })
      },
      READY_MS,
    )
  })
}
