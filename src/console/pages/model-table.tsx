import { useState } from 'react'
import type { Client } from '../../api/client.ts'
import type { ModelObject } from '../../api/objects.ts'
import { operations } from '../../api/operations.ts'
import { errorText } from '../../base/errors.ts'
import { ageText } from '../amounts.ts'
import type { Texts } from '../texts.ts'
import { LoadForm } from './load-form.tsx'

interface ModelTableProps {
  readonly texts: Texts
  readonly client: Client
  readonly models: readonly ModelObject[]
  readonly onChanged: () => void
}

/** Models with what may be done to them; each action shows the command that does the same. */
export function ModelTable({ texts, client, models, onChanged }: ModelTableProps) {
  const [problem, setProblem] = useState<string>()
  const act = async (action: () => Promise<unknown>) => {
    setProblem(undefined)
    await action().catch((error: unknown) => setProblem(errorText(error)))
    onChanged()
  }
  return (
    <section className="card" aria-labelledby="models">
      <h2 id="models">{texts.models}</h2>
      <LoadForm texts={texts} client={client} onLoaded={onChanged} />
      {problem !== undefined && (
        <p role="alert">
          {texts.failed}: {problem}
        </p>
      )}
      {models.length === 0 ? (
        <p className="quiet">{texts.noModels}</p>
      ) : (
        <div className="scroll">
          <table>
            <thead>
              <tr>
                {[
                  texts.name,
                  texts.source,
                  texts.engine,
                  texts.ready,
                  texts.status,
                  texts.age,
                  texts.actions,
                ].map((title) => (
                  <th key={title} scope="col">
                    {title}
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {models.map((model) => (
                <ModelRow key={model.name} texts={texts} client={client} model={model} act={act} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </section>
  )
}

interface ModelRowProps {
  readonly texts: Texts
  readonly client: Client
  readonly model: ModelObject
  readonly act: (action: () => Promise<unknown>) => Promise<void>
}

function ModelRow({ texts, client, model, act }: ModelRowProps) {
  const [replicas, setReplicas] = useState(String(model.spec.replicas || 1))
  const { status, spec, name } = model
  const params = { name }
  return (
    <tr>
      <th scope="row">{name}</th>
      <td>
        <code>{spec.source}</code>
      </td>
      <td>{spec.engine}</td>
      <td>
        {status.readyReplicas}/{status.desiredReplicas}
      </td>
      <td>
        <span className={`phase ${status.phase}`}>{status.phase}</span>
        {status.phase !== 'ready' && status.message !== undefined && (
          <div className="quiet">{status.message}</div>
        )}
        {status.rejections.length > 0 && (
          <details>
            <summary>{texts.why}</summary>
            <ul>
              {status.rejections.map((rejection) => (
                <li key={`${rejection.node}/${rejection.device ?? ''}/${rejection.reason}`}>
                  {rejection.node} {rejection.device ?? ''}: {rejection.message}
                </li>
              ))}
            </ul>
          </details>
        )}
      </td>
      <td>{ageText(Date.now() - model.createdAtMs)}</td>
      <td className="actions">
        <form
          title={`${texts.command}: yard scale ${name} ${replicas}`}
          onSubmit={(event) => {
            event.preventDefault()
            void act(() =>
              client.call(operations.scaleModel, { params, body: { replicas: Number(replicas) } }),
            )
          }}
        >
          <input
            type="number"
            min={0}
            max={1000}
            value={replicas}
            aria-label={`${texts.scale} ${name}`}
            onChange={(event) => setReplicas(event.target.value)}
          />
          <button type="submit">{texts.scale}</button>
        </form>
        <button
          type="button"
          disabled={spec.replicas === 0}
          title={`${texts.command}: yard unload ${name}`}
          onClick={() => {
            if (confirm(texts.unloadSure.replace('{name}', name)))
              void act(() => client.call(operations.unloadModel, { params }))
          }}
        >
          {texts.unload}
        </button>
      </td>
    </tr>
  )
}
