import { useEffect } from 'react'
import type { Client } from '../../api/client.ts'
import { useLive } from '../live.ts'
import type { Texts } from '../texts.ts'
import { EventTable } from './event-table.tsx'
import { ModelTable } from './model-table.tsx'
import { NodeTable } from './node-table.tsx'

interface OverviewProps {
  readonly texts: Texts
  readonly client: Client
  readonly onRefused: (because: 'unauthenticated' | 'forbidden') => void
}

/** What needs attention first, then models, nodes and events. */
export function Overview({ texts, client, onRefused }: OverviewProps) {
  const { state, stale, refused, refresh } = useLive(client)

  useEffect(() => {
    if (refused !== undefined) onRefused(refused)
  }, [refused, onRefused])

  if (state === undefined) return stale ? <p role="alert">{texts.offline}</p> : null
  const attention = [
    ...state.nodes.filter((node) => !node.ready).map((node) => `${node.name}: ${texts.notReporting}`),
    ...state.models
      .filter((model) => ['failed', 'degraded', 'pending'].includes(model.status.phase))
      .map(
        (model) =>
          `${model.name}: ${model.status.phase}. ${model.status.message ?? model.status.reason ?? ''}`,
      ),
  ]
  return (
    <>
      {stale && (
        <p role="status" className="banner">
          {texts.offline}
        </p>
      )}
      <section className="card" aria-labelledby="attention">
        <h2 id="attention">{texts.attention}</h2>
        {attention.length === 0 ? (
          <p className="quiet">{texts.nothingWrong}</p>
        ) : (
          <ul>
            {attention.map((line) => (
              <li key={line}>{line}</li>
            ))}
          </ul>
        )}
      </section>
      <ModelTable texts={texts} client={client} models={state.models} onChanged={refresh} />
      <NodeTable texts={texts} nodes={state.nodes} />
      <EventTable texts={texts} events={state.events} />
    </>
  )
}
