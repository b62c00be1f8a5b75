import { sameJson } from '../../base/canonical-json.ts'
import { YardError } from '../../base/errors.ts'
import type { Model, ModelSpec } from '../../domain/model.ts'
import { engineOf } from '../../engines/registry.ts'
import type { ControlContext } from '../context.ts'
import type { Handlers } from '../http/handlers.ts'
import { revisionName, templateOf } from '../naming.ts'
import { ONLY, tables } from '../records.ts'
import type { Transaction } from '../transaction.ts'
import { found, modelObject, notFound } from '../views.ts'

type ModelHandlers = Pick<
  Handlers,
  | 'listModels'
  | 'createModel'
  | 'getModel'
  | 'replaceModel'
  | 'deleteModel'
  | 'loadModel'
  | 'unloadModel'
  | 'scaleModel'
  | 'listRevisions'
>

/** Desired state of models. Each change is one transaction of the record and its event; loops do the rest. */
export function modelHandlers(context: ControlContext): ModelHandlers {
  const { cache, committer, clock } = context

  const answer = (name: string) => modelObject(cache, found(cache.get(tables.models, name), 'model', name))

  /** Commits what `decide` makes of a model; `undefined` changes nothing. */
  const change = async (
    name: string,
    decide: (
      model: Model,
      transaction: Transaction,
    ) => { next: Model; reason: string; message: string } | undefined,
  ) => {
    await committer.commit('api', (transaction) => {
      const model = transaction.get(tables.models, name)
      if (model === undefined) throw notFound('model', name)
      const changed = decide(model, transaction)
      if (changed === undefined) return
      const { next, reason, message } = changed
      transaction.put(tables.models, name, next)
      transaction.event({ type: 'normal', object: { kind: 'model', name }, reason, message })
    })
    return answer(name)
  }

  const create = (transaction: Transaction, name: string, spec: ModelSpec, labels: Model['labels']) => {
    checkSpec(name, spec)
    claimNames(transaction, name, spec)
    transaction.put(tables.models, name, {
      name,
      labels,
      generation: 1,
      createdAtMs: clock.now(),
      spec,
    })
    const message = `created with ${count(spec.replicas)} of ${spec.source} on ${spec.engine}`
    transaction.event({ type: 'normal', object: { kind: 'model', name }, reason: 'created', message })
  }

  const scaleTo = (name: string, replicas: number, currentReplicas?: number) =>
    change(name, (model) => {
      refuseDeleted(model)
      const { spec } = model
      if (currentReplicas !== undefined && currentReplicas !== spec.replicas) {
        throw new YardError('conflict', `"${name}" has ${count(spec.replicas)} now, not ${currentReplicas}`, {
          reason: 'replicas_changed',
          details: { replicas: spec.replicas },
        })
      }
      if (replicas === spec.replicas) return undefined
      const next = withSpec(model, { ...spec, replicas })
      return replicas === 0
        ? { next, reason: 'unloaded', message: `unloaded; it had ${count(spec.replicas)}` }
        : { next, reason: 'scaled', message: `scaled from ${spec.replicas} to ${count(replicas)}` }
    })

  return {
    async listModels() {
      const items = cache.all(tables.models).map((row) => modelObject(cache, row))
      return { resourceVersion: String(cache.revision), items }
    },

    async getModel({ params }) {
      return answer(params.name)
    },

    async createModel({ body }) {
      await committer.commit('api', (transaction) => {
        if (transaction.get(tables.models, body.name)) {
          throw new YardError('already_exists', `there is a model "${body.name}" already`, {
            hint: `bring it back with yard load ${body.name}, or change it with PUT /api/v1/models/${body.name}`,
          })
        }
        create(transaction, body.name, body.spec, body.labels ?? {})
      })
      return answer(body.name)
    },

    replaceModel: ({ params, body }) =>
      change(params.name, (model, transaction) => {
        refuseDeleted(model)
        const { resourceVersion, spec, labels = model.labels } = body
        if (resourceVersion !== undefined) {
          refuseStale(params.name, cache.modRevision(tables.models.key(params.name)), resourceVersion)
        }
        if (sameJson(spec, model.spec) && sameJson(labels, model.labels)) return undefined
        checkSpec(params.name, spec)
        claimNames(transaction, params.name, spec, model.spec)
        const next = { ...withSpec(model, spec), labels }
        return { next, reason: 'changed', message: changeText(model, spec) }
      }),

    deleteModel: ({ params }) =>
      change(params.name, (model) =>
        model.deletedAtMs === undefined
          ? {
              next: { ...model, deletedAtMs: clock.now(), generation: model.generation + 1 },
              reason: 'deleted',
              message: 'deletion asked for; it goes when its last replica has',
            }
          : undefined,
      ),

    async loadModel({ params: { name }, body }) {
      const asked = body.spec && { ...body.spec, replicas: body.replicas ?? body.spec.replicas ?? 1 }
      if (asked) checkSpec(name, asked)
      await committer.commit('api', (transaction) => {
        const model = transaction.get(tables.models, name)
        if (model === undefined) {
          if (asked === undefined) throw notFound('model', name)
          create(transaction, name, asked, body.labels ?? {})
          return
        }
        refuseDeleted(model)
        if (asked && !sameJson(templateOf(asked), templateOf(model.spec))) throw otherTemplate(name)
        const kept = model.spec.replicas > 0 ? model.spec.replicas : (model.unloadedReplicas ?? 1)
        const replicas = body.replicas ?? body.spec?.replicas ?? kept
        const next = {
          ...withSpec(model, { ...model.spec, ...body.spec, replicas }),
          labels: body.labels ?? model.labels,
        }
        if (sameJson(next.spec, model.spec) && sameJson(next.labels, model.labels)) return
        transaction.put(tables.models, name, next)
        const message = `loaded with ${count(replicas)}; it had ${model.spec.replicas}`
        transaction.event({ type: 'normal', object: { kind: 'model', name }, reason: 'loaded', message })
      })
      return answer(name)
    },

    unloadModel: ({ params }) => scaleTo(params.name, 0),

    scaleModel: ({ params, body }) => scaleTo(params.name, body.replicas, body.currentReplicas),

    async listRevisions({ params: { name } }) {
      const model = found(cache.get(tables.models, name), 'model', name).value
      const current = revisionName(name, model.spec)
      const items = cache
        .all(tables.revisions)
        .map((row) => row.value)
        .filter((revision) => revision.model === name)
        .sort((left, right) => right.createdAtMs - left.createdAtMs || (left.name === current ? -1 : 1))
        .map(({ name: revision, createdAtMs, template }) => ({
          kind: 'Revision' as const,
          name: revision,
          model: name,
          createdAtMs,
          current: revision === current,
          template,
        }))
      return { resourceVersion: String(cache.revision), items }
    },
  }
}

/** What the engine says is wrong with a spec, as `invalid_request` naming each field. */
function checkSpec(name: string, spec: ModelSpec): void {
  const problems = engineOf(spec.engine)
    .validate(templateOf(spec))
    .map(({ field, message }) => ({ field: `spec.${field}`, message }))
  for (const [at, adapter] of spec.adapters.entries()) {
    if (adapter.name !== name) continue
    problems.push({ field: `spec.adapters.${at}.name`, message: 'an adapter needs a name of its own' })
  }
  const [first] = problems
  if (first === undefined) return
  const more = problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''
  throw new YardError('invalid_request', `${first.field}: ${first.message}${more}`, { details: { problems } })
}

/**
 * Makes sure that each public name leads to one thing: models and adapters share one space of names. The owners of
 * adapters' names are one record, so two changes that claim the same name can't both commit.
 */
function claimNames(transaction: Transaction, model: string, spec: ModelSpec, before?: ModelSpec): void {
  const owners = { ...transaction.get(tables.adapterNames, ONLY)?.owners }
  const owner = Object.hasOwn(owners, model) ? owners[model] : undefined
  if (owner !== undefined) throw nameTaken(model, `an adapter of "${owner}"`)
  const had = before?.adapters.map((adapter) => adapter.name) ?? []
  const has = spec.adapters.map((adapter) => adapter.name)
  for (const name of had) if (owners[name] === model) delete owners[name]
  for (const name of has) {
    const other = Object.hasOwn(owners, name) ? owners[name] : undefined
    if (other !== undefined && other !== model) throw nameTaken(name, `an adapter of "${other}"`)
    if (transaction.get(tables.models, name)) throw nameTaken(name, 'a model')
    owners[name] = model
  }
  if (had.length > 0 || has.length > 0) transaction.put(tables.adapterNames, ONLY, { owners })
}

function withSpec(model: Model, spec: ModelSpec): Model {
  const unloaded = spec.replicas === 0 && model.spec.replicas > 0
  return {
    ...model,
    spec,
    generation: model.generation + 1,
    ...(unloaded ? { unloadedReplicas: model.spec.replicas } : {}),
  }
}

function changeText(model: Model, spec: ModelSpec): string {
  const [from, to] = [revisionName(model.name, model.spec), revisionName(model.name, spec)]
  return from === to ? 'changed; its replicas run on' : `changed; rolls from ${from} to ${to}`
}

function count(replicas: number): string {
  return `${replicas} ${replicas === 1 ? 'replica' : 'replicas'}`
}

function refuseDeleted({ name, deletedAtMs }: Model): void {
  if (deletedAtMs === undefined) return
  throw new YardError('conflict', `"${name}" is being deleted`, {
    reason: 'deleting',
    hint: 'wait until it is gone, then create it anew',
  })
}

function refuseStale(name: string, modRevision: number, resourceVersion: string): void {
  if (String(modRevision) === resourceVersion) return
  throw new YardError('conflict', `"${name}" has changed since you read it`, {
    reason: 'resource_version',
    hint: 'read it again, make your change on that, and send its resourceVersion',
    details: { resourceVersion: String(modRevision) },
  })
}

function otherTemplate(name: string): YardError {
  return new YardError('conflict', `"${name}" exists with another source, engine or settings`, {
    reason: 'template_differs',
    hint: `yard load ${name} brings it back as it is; PUT /api/v1/models/${name} changes it; another --name keeps both; yard model delete ${name} makes room for it`,
  })
}

function nameTaken(name: string, by: string): YardError {
  return new YardError('conflict', `the name "${name}" belongs to ${by}`, {
    reason: 'name_taken',
    hint: 'choose another name',
  })
}
