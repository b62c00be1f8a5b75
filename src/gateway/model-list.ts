import type { Principal } from '../domain/access.ts'
import { mayUse } from './access.ts'
import type { ServedName, ViewIndex } from './view-index.ts'

/** OpenAI's model object; an adapter names its base as `parent`, as vLLM does. */
export interface ModelCard {
  readonly id: string
  readonly object: 'model'
  readonly created: number
  readonly owned_by: 'yardmaster'
  readonly parent?: string
}

/** All that the principal may call, by name. */
export function modelCards(index: ViewIndex, principal: Principal): ModelCard[] {
  return [...index.names.values()]
    .filter(({ name, phase }) => phase !== 'deleting' && mayUse(principal, name))
    .map(cardOf)
    .sort((left, right) => (left.id < right.id ? -1 : 1))
}

/** One of them; undefined for what the principal may not call, which looks the same as what does not exist. */
export function modelCard(index: ViewIndex, principal: Principal, id: string): ModelCard | undefined {
  const served = index.names.get(id)
  return served !== undefined && mayUse(principal, id) ? cardOf(served) : undefined
}

function cardOf({ name, model, createdAtMs }: ServedName): ModelCard {
  return {
    id: name,
    object: 'model',
    created: Math.floor(createdAtMs / 1000),
    owned_by: 'yardmaster',
    ...(model === name ? {} : { parent: model }),
  }
}
