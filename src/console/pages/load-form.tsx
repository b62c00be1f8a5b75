import { useState } from 'react'
import type { Client } from '../../api/client.ts'
import { operations } from '../../api/operations.ts'
import { errorText } from '../../base/errors.ts'
import type { EngineName } from '../../domain/engine-name.ts'
import type { ModelSpec } from '../../domain/model.ts'
import { nameFrom } from '../../domain/names.ts'
import { parseSource, type Source } from '../../domain/source.ts'
import type { Texts } from '../texts.ts'

interface LoadFormProps {
  readonly texts: Texts
  readonly client: Client
  readonly onLoaded: () => void
}

const ENGINE_OF: Readonly<Record<Source['kind'], EngineName>> = {
  builtin: 'llama',
  file: 'llama',
  hf: 'vllm',
  sim: 'sim',
  command: 'command',
  external: 'external',
}

/** Loads a model by its source; shows the server's own words when it refuses. */
export function LoadForm({ texts, client, onLoaded }: LoadFormProps) {
  const [source, setSource] = useState('')
  const [name, setName] = useState('')
  const [problem, setProblem] = useState<string>()
  const parsed = source === '' ? undefined : parseSource(source)
  const suggested = nameFrom(source.replace(/^\w+:/, '')) ?? ''
  const submit = async () => {
    if (parsed === undefined) return
    if (parsed.kind === 'invalid') return setProblem(parsed.message)
    try {
      await client.call(operations.loadModel, {
        params: { name: name || suggested },
        body: {
          spec: {
            ...DEFAULTS,
            source,
            engine: ENGINE_OF[parsed.kind],
            ...(source === 'builtin:tiny-embed' ? { embeddings: true } : {}),
          },
        },
      })
      setSource('')
      setName('')
      setProblem(undefined)
      onLoaded()
    } catch (error) {
      setProblem(errorText(error))
    }
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
        onChange={(event) => setSource(event.target.value)}
      />
      <input
        value={name}
        aria-label={texts.loadName}
        placeholder={suggested || texts.loadName}
        onChange={(event) => setName(event.target.value)}
      />
      <button type="submit" className="primary" disabled={source === ''}>
        {texts.load}
      </button>
      {source !== '' && (
        <p className="quiet">
          {texts.command}: <code>{`yard load ${source}${name === '' ? '' : ` --name ${name}`}`}</code>
        </p>
      )}
      {problem !== undefined && <p role="alert">{problem}</p>}
    </form>
  )
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
