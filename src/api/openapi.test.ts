import { describe, expect, it } from 'vitest'
import { ERROR_TABLE } from '../base/errors.ts'
import { PERMISSIONS } from '../domain/access.ts'
import { openApiDocument } from './openapi.ts'
import { API_PREFIX, type Operation } from './operation.ts'
import { operations } from './operations.ts'

// biome-ignore lint/suspicious/noExplicitAny: a document is looked into by name, and a wrong name fails the test.
type Json = Record<string, any>
const document: Json = openApiDocument('1.2.3')
const all = Object.entries<Operation>(operations)

describe('the OpenAPI document', () => {
  it('has every operation once, under its own path and method, and nothing else', () => {
    const written = Object.entries<Json>(document.paths).flatMap(([path, methods]) =>
      Object.entries<Json>(methods).map(([method, one]) => `${method} ${path} ${one.operationId}`),
    )
    const wanted = all.map(([id, { method, path }]) => `${method.toLowerCase()} ${API_PREFIX}${path} ${id}`)
    expect(written.sort()).toEqual(wanted.sort())
  })

  it('names the permission of every operation', () => {
    for (const [id, operation] of all) {
      const written = document.paths[API_PREFIX + operation.path][operation.method.toLowerCase()]
      expect([...PERMISSIONS, 'join'], id).toContain(written['x-yard-permission'])
    }
  })

  it('gives every error code of every operation a response with its status and the envelope', () => {
    for (const [id, operation] of all) {
      const { responses } = document.paths[API_PREFIX + operation.path][operation.method.toLowerCase()]
      expect(responses[operation.status], id).toBeDefined()
      expect(operation.errors.length, id).toBeGreaterThan(0)
      for (const code of operation.errors) {
        const response = responses[ERROR_TABLE[code].status]
        expect(response.description.split(', '), id).toContain(code)
        expect(response.content['application/json'].schema.$ref).toBe('#/components/schemas/ApiError')
      }
    }
  })

  it('declares exactly the parameters that stand in each path, all of them required', () => {
    for (const [path, methods] of Object.entries<Json>(document.paths)) {
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map((match) => match[1])
      for (const one of Object.values<Json>(methods)) {
        const declared = one.parameters.filter((parameter: Json) => parameter.in === 'path')
        expect(declared.map((parameter: Json) => parameter.name)).toEqual(inPath)
        expect(declared.every((parameter: Json) => parameter.required)).toBe(true)
      }
    }
  })

  it('refers only to schemas that it has, and has none that nothing refers to', () => {
    const text = JSON.stringify(document)
    const refs = new Set([...text.matchAll(/"\$ref":"([^"]*)"/g)].map((match) => match[1]!))
    const known = Object.keys(document.components.schemas).map((name) => `#/components/schemas/${name}`)
    expect([...refs].sort()).toEqual(known.sort())
  })

  it('is plain JSON of the dialect that OpenAPI 3.1 uses', () => {
    expect(document.openapi).toBe('3.1.0')
    expect(JSON.parse(JSON.stringify(document))).toEqual(document)
    for (const schema of schemasIn(document)) {
      expect(schema.$schema).toBeUndefined()
      expect(schema.nullable, 'a word of OpenAPI 3.0').toBeUndefined()
      if (schema.type !== undefined) expect(TYPES).toContain(schema.type)
      if (schema.required !== undefined) {
        for (const name of schema.required) expect(Object.keys(schema.properties)).toContain(name)
      }
      if (schema.pattern !== undefined) expect(() => new RegExp(schema.pattern, 'u')).not.toThrow()
    }
  })

  it('takes a spec with its defaults left out and gives it with all of them', () => {
    const { ModelSpec, ModelSpecInput } = document.components.schemas
    expect(ModelSpecInput.required).toEqual(['source', 'engine'])
    expect(ModelSpec.required).toContain('replicas')
    expect(ModelSpecInput.additionalProperties).toBe(false)
  })
})

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null']

/** Every JSON Schema in the document, nested ones too. */
function schemasIn(value: unknown, within = false): Json[] {
  if (Array.isArray(value)) return value.flatMap((one) => schemasIn(one, within))
  if (typeof value !== 'object' || value === null) return []
  const record = value as Json
  const own = within && !('$ref' in record) ? [record] : []
  return [
    ...own,
    ...Object.entries(record).flatMap(([key, field]) => {
      if (key === 'schemas' || key === 'properties') {
        return Object.values<unknown>(field).flatMap((one) => schemasIn(one, true))
      }
      const inner = ['schema', 'items', 'additionalProperties', 'anyOf', 'oneOf', 'allOf']
      return schemasIn(field, inner.includes(key))
    }),
  ]
}
