import { useState } from 'react'
import type { Client } from '../../api/client.ts'
import type { ModelObject } from '../../api/objects.ts'
import { operations } from '../../api/operations.ts'
import type { Act } from '../act.ts'
import { ageText } from '../amounts.ts'
import { changeDeadline } from '../live.ts'
import { problemText } from '../problem.ts'
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
  const [accepted, setAccepted] = useState<string>()
  const act: Act = async (command, action) => {
    setProblem(undefined)
    setAccepted(undefined)
    try {
      await action()
      setAccepted(command)
      return true
    } catch (error) {
      setProblem(problemText(error, texts))
      return false
    } finally {
      onChanged()
    }
  }
  return (
    <section className="card" aria-labelledby="models">
      <h2 id="models">{texts.models}</h2>
      <LoadForm texts={texts} client={client} act={act} />
      {problem !== undefined && (
        <p role="alert">
          {texts.failed}
          {problem}
        </p>
      )}
      <p role="status" className="quiet">
        {accepted !== undefined && (
          <>
            {texts.accepted}
            {texts.separator}
            <code>{accepted}</code>
          </>
        )}
      </p>
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
  readonly act: Act
}

function ModelRow({ texts, client, model, act }: ModelRowProps) {
  const { status, spec, name } = model
  return (
    <tr>
      <th scope="row">{name}</th>
      <td data-label={texts.source}>
        <code>{spec.source}</code>
      </td>
      <td data-label={texts.engine}>{spec.engine}</td>
      <td data-label={texts.ready}>
        {status.readyReplicas}/{status.desiredReplicas}
      </td>
      <td data-label={texts.status}>
        <span className={`phase ${status.phase}`}>{texts.phases[status.phase]}</span>
        {status.phase !== 'ready' && status.message !== undefined && (
          <div className="quiet" lang="en">
            {status.message}
          </div>
        )}
        {status.rejections.length > 0 && (
          <details>
            <summary>{texts.why}</summary>
            <ul lang="en">
              {status.rejections.map((rejection) => (
                <li key={`${rejection.node}/${rejection.device ?? ''}/${rejection.reason}`}>
                  {[rejection.node, rejection.device].filter(Boolean).join(' ')}: {rejection.message}
                </li>
              ))}
            </ul>
          </details>
        )}
      </td>
      <td className="age" data-label={texts.age}>
        {ageText(Date.now() - model.createdAtMs, texts.locale)}
      </td>
      <td>
        <ModelActions texts={texts} client={client} model={model} act={act} />
      </td>
    </tr>
  )
}

function ModelActions({ texts, client, model, act }: ModelRowProps) {
  const { spec, name } = model
  const params = { name }
  const [typed, setTyped] = useState<string>()
  const [seen, setSeen] = useState(spec.replicas)
  // What was typed is dropped once the count changes, here or elsewhere.
  if (seen !== spec.replicas) {
    setSeen(spec.replicas)
    setTyped(undefined)
  }
  const replicas = typed ?? String(spec.replicas || 1)
  const load = `yard load ${name}`
  const unload = `yard unload ${name}`
  const scale = `yard scale ${name} ${replicas}`
  return (
    <div className="actions">
      <form
        onSubmit={(event) => {
          event.preventDefault()
          const body = { replicas: Number(replicas) }
          void act(scale, () => client.call(operations.scaleModel, { params, body }, changeDeadline()))
        }}
      >
        <input
          type="number"
          required
          min={1}
          max={1000}
          value={replicas}
          aria-label={texts.replicasOf.replace('{name}', name)}
          onChange={(event) => setTyped(event.target.value)}
        />
        <button type="submit" aria-label={`${texts.scale} ${name}`} title={texts.command + scale}>
          {texts.scale}
        </button>
      </form>
      {spec.replicas === 0 ? (
        <button
          type="button"
          aria-label={`${texts.load} ${name}`}
          title={texts.command + load}
          onClick={() =>
            void act(load, () => client.call(operations.loadModel, { params, body: {} }, changeDeadline()))
          }
        >
          {texts.load}
        </button>
      ) : (
        <button
          type="button"
          aria-label={`${texts.unload} ${name}`}
          title={texts.command + unload}
          onClick={() => {
            if (confirm(`${texts.unloadSure.replace('{name}', name)}\n\n${texts.command}${unload}`))
              void act(unload, () => client.call(operations.unloadModel, { params }, changeDeadline()))
          }}
        >
          {texts.unload}
        </button>
      )}
    </div>
  )
}
