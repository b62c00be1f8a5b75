import { z } from 'zod'
import { ERROR_TABLE, type ErrorCode } from '../base/errors.ts'
import { Event } from '../domain/event.ts'
import { SourceReport } from '../domain/facts.ts'
import { ModelSpec, ModelTemplate, Rejection } from '../domain/model.ts'
import { NodeStatus } from '../domain/node.ts'
import { Assignment, Endpoint, Placement, Replica, ReplicaStatus } from '../domain/replica.ts'
import { ApiError, KeyObject, ModelObject, NodeObject, ReplicaObject, RevisionObject } from './objects.ts'
import { API_PREFIX, type Operation } from './operation.ts'
import { operations } from './operations.ts'

type Json = Record<string, unknown>

/** Schemas that stand under their own name; all others are written where they are used. */
const NAMED = {
  ApiError,
  Assignment,
  Endpoint,
  Event,
  KeyObject,
  ModelObject,
  ModelSpec,
  ModelTemplate,
  NodeObject,
  NodeStatus,
  Placement,
  Rejection,
  Replica,
  ReplicaObject,
  ReplicaStatus,
  RevisionObject,
  SourceReport,
} as const

/** The OpenAPI 3.1 document of the control API, made from `operations` alone. `version` is the server's. */
export function openApiDocument(version: string): Json {
  const components: Json = {}
  const paths: Record<string, Json> = {}
  schemaOf(ApiError, 'output', components)
  for (const operation of Object.values<Operation>(operations)) {
    const path = API_PREFIX + operation.path
    const methods = paths[path] ?? {}
    methods[operation.method.toLowerCase()] = operationOf(operation, components)
    paths[path] = methods
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Yardmaster control API',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ bearer: [] }, { apiKey: [] }],
    tags: [...new Set(Object.values<Operation>(operations).map(({ tag }) => tag))].map((name) => ({ name })),
    paths,
    components: {
      schemas: components,
      securitySchemes: {
        bearer: { type: 'http', scheme: 'bearer', description: 'a key, yk_…' },
        apiKey: { type: 'apiKey', in: 'header', name: 'x-api-key' },
      },
    },
  }
}

function operationOf(operation: Operation, components: Json): Json {
  const { id, tag, summary, permission, body } = operation
  return {
    operationId: id,
    tags: [tag],
    summary,
    'x-yard-permission': permission,
    ...(permission === 'join' ? { security: [] } : {}),
    parameters: [
      ...parametersOf(operation.params, 'path', components),
      ...parametersOf(operation.query, 'query', components),
    ],
    ...(body === undefined
      ? {}
      : {
          requestBody: {
            required: true,
            content: { 'application/json': { schema: schemaOf(body, 'input', components) } },
          },
        }),
    responses: { [operation.status]: successOf(operation, components), ...faultsOf(operation) },
  }
}

function parametersOf(schema: z.ZodType | undefined, place: 'path' | 'query', components: Json): Json[] {
  if (!(schema instanceof z.ZodObject)) return []
  return Object.entries(schema.shape as Record<string, z.ZodType>).map(([name, field]) => ({
    name,
    in: place,
    required: place === 'path' || !field.safeParse(undefined).success,
    // What comes out of the schema is what a parameter means; all parameters go in as text.
    schema: schemaOf(field, 'output', components),
  }))
}

function successOf({ result }: Operation, components: Json): Json {
  return result === undefined
    ? { description: 'Text, as it comes', content: { 'text/plain': { schema: { type: 'string' } } } }
    : {
        description: 'Done',
        content: { 'application/json': { schema: schemaOf(result, 'output', components) } },
      }
}

/** Codes that share a status share a response. */
function faultsOf({ errors, body, query }: Operation): Json {
  const ofInput: readonly ErrorCode[] = (body ?? query) ? ['unknown_field'] : []
  const ofBody: readonly ErrorCode[] = body === undefined ? [] : ['invalid_json', 'too_large', 'timed_out']
  const codes = new Map<number, ErrorCode[]>()
  for (const code of new Set([...errors, ...ofInput, ...ofBody])) {
    const { status } = ERROR_TABLE[code]
    codes.set(status, [...(codes.get(status) ?? []), code])
  }
  const content = { 'application/json': { schema: { $ref: '#/components/schemas/ApiError' } } }
  return Object.fromEntries(
    [...codes]
      .sort(([left], [right]) => left - right)
      .map(([status, names]) => [status, { description: names.join(', '), content }]),
  )
}

/**
 * The JSON Schema of what a schema takes (`input`) or gives (`output`). Named schemas within it go to `components`;
 * what they take differs from what they give by defaults, so it has a name of its own.
 */
function schemaOf(schema: z.ZodType, io: 'input' | 'output', components: Json): Json {
  const written = z.toJSONSchema(schema, {
    io,
    metadata: io === 'input' ? INPUT_NAMES : OUTPUT_NAMES,
    unrepresentable: 'any',
  }) as Json
  const { $schema: _, $defs, ...rest } = pointedAtComponents(written) as Json
  for (const [name, definition] of Object.entries(($defs ?? {}) as Json))
    components[name] = withoutId(definition)
  const id = rest.id
  if (typeof id !== 'string') return rest
  components[id] = withoutId(rest)
  return { $ref: `#/components/schemas/${id}` }
}

function withoutId(definition: unknown): unknown {
  const { id: _, ...rest } = definition as Json
  return rest
}

function pointedAtComponents(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pointedAtComponents)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, field]) => [
      key,
      key === '$ref' && typeof field === 'string'
        ? field.replace('#/$defs/', '#/components/schemas/')
        : pointedAtComponents(field),
    ]),
  )
}

const OUTPUT_NAMES = namesOf('')
const INPUT_NAMES = namesOf('Input')

function namesOf(suffix: string): z.core.$ZodRegistry<{ id: string }> {
  const registry = z.registry<{ id: string }>()
  for (const [name, schema] of Object.entries(NAMED)) registry.add(schema, { id: name + suffix })
  return registry
}
