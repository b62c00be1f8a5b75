import { createHash } from 'node:crypto'
import { canonicalJson } from '../base/canonical-json.ts'
import type { Random } from '../base/random.ts'
import type { ModelSpec, ModelTemplate } from '../domain/model.ts'

/** Crockford's base 32: no letter that is taken for another. */
const BASE32 = '0123456789abcdefghjkmnpqrstvwxyz'

/** The part of a spec that a running replica depends on. */
export function templateOf(spec: ModelSpec): ModelTemplate {
  const { replicas: _, strategy: __, priority: ___, ...template } = spec
  return template
}

/** First 8 hex digits of SHA-256 over the template's canonical JSON. */
export function revisionHash(template: ModelTemplate): string {
  return sha256(canonicalJson(template)).slice(0, 8)
}

/** Name of the revision that a spec asks for: `tiny-1f3a9c20`. */
export function revisionName(model: string, spec: ModelSpec): string {
  return `${model}-${revisionHash(templateOf(spec))}`
}

/** A new replica's name: `tiny-x3k9f`. */
export function replicaName(model: string, random: Random): string {
  let tail = ''
  for (let place = 0; place < 5; place++) tail += BASE32.charAt(Math.floor(random() * BASE32.length))
  return `${model}-${tail}`
}

/** Name of the record of a source: its text may hold anything, its hash may stand in a key. */
export function sourceId(source: string): string {
  return sha256(source).slice(0, 32)
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
