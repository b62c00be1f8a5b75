import type { ModelTemplate } from '../domain/model.ts'
import { parseSource, type Source } from '../domain/source.ts'
import type { Engine } from './engine.ts'
import { type EngineFlags, engineArgProblems } from './engine-args.ts'

export interface Problem {
  readonly field: string
  readonly message: string
}

/** What an engine takes of a template; the rest is a mistake that would otherwise be silently ignored. */
export interface TemplateRules {
  readonly engine: string
  readonly sources: Engine['sources']
  readonly lora: Engine['lora']
  /** Absent: the engine takes no arguments by name. */
  readonly flags?: EngineFlags
  readonly mostConcurrency?: number
  /**
   * The engine chooses an adapter by fields that the gateway would have to add (`adapterFields`), which it does not do
   * yet: without them the base would answer in the adapter's name.
   */
  readonly adaptersNeedFields?: boolean
}

/** What every engine checks: the source, arguments, adapters, and fields that belong to other engines. */
export function templateProblems(template: ModelTemplate, rules: TemplateRules): readonly Problem[] {
  return [
    ...sourceProblems(template, rules),
    ...(rules.flags === undefined
      ? noArgs(template, rules)
      : engineArgProblems(rules.flags, template.engineArgs)),
    ...adapterProblems(template, rules),
    ...concurrencyProblems(template, rules),
    ...foreignFields(template, rules),
  ]
}

/** The source, when it is one of those that the engine can load. */
export function sourceOf(template: Pick<ModelTemplate, 'source'>): Source | undefined {
  const source = parseSource(template.source)
  return source.kind === 'invalid' ? undefined : source
}

/** True for a file: source that names a single GGUF file. */
export function isGguf(source: Source | undefined): boolean {
  return source?.kind === 'file' && /\.gguf$/i.test(source.path)
}

const EXAMPLES: Readonly<Record<Source['kind'], string>> = {
  builtin: 'builtin:tiny',
  file: 'file:/path',
  hf: 'hf:org/name',
  sim: 'sim:name',
  command: 'command:/path/program',
  external: 'https://host/v1',
}

function sourceProblems(template: ModelTemplate, rules: TemplateRules): readonly Problem[] {
  const source = parseSource(template.source)
  if (source.kind === 'invalid') return [{ field: 'source', message: source.message }]
  if (rules.sources.includes(source.kind)) return []
  const wanted = rules.sources.map((kind) => EXAMPLES[kind]).join(', ')
  return [{ field: 'source', message: `${rules.engine} can't serve ${template.source}; it takes ${wanted}` }]
}

function noArgs(template: ModelTemplate, rules: TemplateRules): readonly Problem[] {
  return Object.keys(template.engineArgs).map((flag) => ({
    field: `engineArgs.${flag}`,
    message: `${rules.engine} takes no engine arguments`,
  }))
}

function adapterProblems(template: ModelTemplate, rules: TemplateRules): readonly Problem[] {
  if (template.adapters.length === 0) return []
  if (rules.lora === 'none') {
    return [{ field: 'adapters', message: `${rules.engine} can't serve adapters` }]
  }
  if (rules.adaptersNeedFields) {
    return [
      {
        field: 'adapters',
        message: `the gateway can't choose an adapter of ${rules.engine} yet; use engine vllm or llama for adapters`,
      },
    ]
  }
  const seen = new Set<string>()
  return template.adapters.flatMap((adapter, at) => {
    const problems: Problem[] = []
    if (seen.has(adapter.name)) {
      problems.push({ field: `adapters.${at}.name`, message: `the adapter "${adapter.name}" is there twice` })
    }
    seen.add(adapter.name)
    const kind = parseSource(adapter.source).kind
    if (kind !== 'invalid' && kind !== 'file' && !rules.sources.includes(kind)) {
      problems.push({
        field: `adapters.${at}.source`,
        message: `${rules.engine} can't load an adapter from ${adapter.source}`,
      })
    }
    return problems
  })
}

function concurrencyProblems(template: ModelTemplate, rules: TemplateRules): readonly Problem[] {
  const { maxConcurrency } = template
  const most = rules.mostConcurrency
  if (maxConcurrency === undefined || most === undefined || maxConcurrency <= most) return []
  return [{ field: 'maxConcurrency', message: `${rules.engine} serves at most ${most} sequences at a time` }]
}

function foreignFields(template: ModelTemplate, rules: TemplateRules): readonly Problem[] {
  const problems: Problem[] = []
  if (rules.engine !== 'command' && template.command !== undefined) {
    problems.push({ field: 'command', message: 'only engine command has a command; use engineArgs' })
  }
  if (rules.engine !== 'external') {
    for (const field of ['externalModel', 'externalKeyEnv'] as const) {
      if (template[field] !== undefined) {
        problems.push({ field, message: `only engine external has ${field}` })
      }
    }
  }
  return problems
}
