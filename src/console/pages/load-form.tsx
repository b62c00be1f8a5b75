import { useState } from 'react'
import type { Client } from '../../api/client.ts'
import { operations } from '../../api/operations.ts'
import { YardError } from '../../base/errors.ts'
import type { ModelSpec } from '../../domain/model.ts'
import { parseSource } from '../../domain/source.ts'
import { DEFAULT_ENGINE, nameOfSource } from '../../domain/source-defaults.ts'
import type { Act } from '../act.ts'
import { changeDeadline } from '../live.ts'
import type { Texts } from '../texts.ts'

interface LoadFormProps {
  readonly texts: Texts
  readonly client: Client
  readonly act: Act
}

/** Loads a model by its source. */
export function LoadForm({ texts, client, act }: LoadFormProps) {
  const [source, setSource] = useState('')
  const [name, setName] = useState('')
  const text = source.trim()
  const parsed = parseSource(text)
  const suggested = parsed.kind === 'invalid' ? undefined : nameOfSource(parsed)
  const given = name.trim()
  const chosen = given || suggested
  const command = `yard load ${shellWord(text)}${given === '' ? '' : ` --name ${shellWord(given)}`}`
  const submit = async () => {
    const accepted = await act(command, async () => {
      if (parsed.kind === 'invalid') throw new YardError('usage', parsed.message)
      if (chosen === undefined) throw new YardError('usage', texts.needsName)
      const spec: ModelSpec = {
        ...DEFAULTS,
        source: text,
        engine: DEFAULT_ENGINE[parsed.kind],
        ...(text === 'builtin:tiny-embed' ? { embeddings: true } : {}),
      }
      await client.call(operations.loadModel, { params: { name: chosen }, body: { spec } }, changeDeadline())
    })
    if (!accepted) return
    setSource('')
    setName('')
  }
  return (
    <form
      className="load"
      onSubmit={(event) => {
        event.preventDefault()
        void submit()
      }}
    >
      <input
        value={source}
        aria-label={texts.source}
        placeholder={texts.loadSource}
        spellCheck={false}
        autoCapitalize="none"
        onChange={(event) => setSource(event.target.value)}
      />
      <input
        value={name}
        aria-label={texts.name}
        placeholder={suggested ?? texts.name}
        spellCheck={false}
        autoCapitalize="none"
        onChange={(event) => setName(event.target.value)}
      />
      <button type="submit" className="primary" disabled={text === ''}>
        {texts.load}
      </button>
      {parsed.kind !== 'invalid' && (
        <p className="quiet">
          {texts.command}
          <code>{command}</code>
        </p>
      )}
    </form>
  )
}

/** One word of a POSIX shell. */
function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`
}

const DEFAULTS: Omit<ModelSpec, 'source' | 'engine'> = {
  replicas: 1,
  strategy: 'spread',
  priority: 0,
  adapters: [],
  resources: {},
  engineArgs: {},
  nodeSelector: {},
  startTimeoutMs: 600_000,
  drainTimeoutMs: 60_000,
}
