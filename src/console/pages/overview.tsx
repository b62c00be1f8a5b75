import { useEffect } from 'react'
import type { Client } from '../../api/client.ts'
import type { ModelPhase } from '../../domain/model.ts'
import { type ClusterState, useLive } from '../live.ts'
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

  if (state === undefined)
    return stale ? <p role="alert">{texts.unreachable}</p> : <p className="quiet">{texts.reading}</p>
  return (
    <>
      <div role="status">{stale && <p className="banner">{texts.offline}</p>}</div>
      <section className="card" aria-labelledby="attention">
        <h2 id="attention">{texts.attention}</h2>
        <Attention texts={texts} state={state} />
      </section>
      <ModelTable texts={texts} client={client} models={state.models} onChanged={refresh} />
      <NodeTable texts={texts} nodes={state.nodes} />
      <EventTable texts={texts} events={state.events} />
    </>
  )
}

function Attention({ texts, state }: { readonly texts: Texts; readonly state: ClusterState }) {
  const nodes = state.nodes.filter((node) => !node.ready)
  const models = state.models.filter((model) => WORRYING.has(model.status.phase))
  if (nodes.length + models.length === 0) return <p className="quiet">{texts.nothingWrong}</p>
  return (
    <ul>
      {nodes.map(({ name }) => (
        <li key={`node/${name}`}>
          <strong>{name}</strong>
          {texts.separator}
          <span className="phase failed">{texts.notReporting}</span>
        </li>
      ))}
      {models.map(({ name, status }) => (
        <li key={`model/${name}`}>
          <strong>{name}</strong>
          {texts.separator}
          <span className={`phase ${status.phase}`}>{texts.phases[status.phase]}</span>
          <span lang="en">{status.message ?? status.reason}</span>
        </li>
      ))}
    </ul>
  )
}

const WORRYING: ReadonlySet<ModelPhase> = new Set(['failed', 'degraded', 'pending'])
