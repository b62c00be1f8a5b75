import type { ApiError } from './exchange.ts'
import type { JsonFields } from './json-fields.ts'

/** The adapters an engine has loaded, and vLLM's calls that change them (openai/models/serving.py). */
export interface Adapters {
  list(): readonly { readonly name: string; readonly path: string }[]
  has(name: string): boolean
  /** The text of the 200 answer, or the error. */
  load(fields: JsonFields): Promise<string | ApiError>
  unload(fields: JsonFields): string | ApiError
}

export function createAdapters(options: {
  readonly enabled: boolean
  readonly modules: readonly { readonly name: string; readonly path: string }[]
  readonly exists: (path: string) => Promise<boolean>
}): Adapters {
  const paths = new Map(options.modules.map(({ name, path }) => [name, path]))
  return {
    list: () => [...paths].map(([name, path]) => ({ name, path })),
    has: (name) => paths.has(name),
    async load(fields) {
      const name = fields.string('lora_name')
      const path = fields.string('lora_path')
      const inPlace = fields.boolean('load_inplace') ?? false
      const problem = fields.problem()
      if (problem) return problem
      if (!name || !path) return invalid("Both 'lora_name' and 'lora_path' must be provided.")
      if (!inPlace && paths.has(name))
        return invalid(
          `The lora adapter '${name}' has already been loaded. If you want to load the adapter in place, set ` +
            `'load_inplace' to True.`,
        )
      if (!options.enabled)
        return {
          status: 500,
          type: 'InternalServerError',
          message: 'Call to add_lora method failed: LoRA is not enabled.',
        }
      if (!(await options.exists(path)))
        return notFound(`Loading lora ${name} failed: No adapter found for ${path}`)
      paths.set(name, path)
      return `Success: LoRA adapter '${name}' added successfully.`
    },
    unload(fields) {
      const name = fields.string('lora_name')
      const problem = fields.problem()
      if (problem) return problem
      if (!name) return invalid("'lora_name' needs to be provided to unload a LoRA adapter.")
      if (!paths.delete(name)) return notFound(`The lora adapter '${name}' cannot be found.`)
      return `Success: LoRA adapter '${name}' removed successfully.`
    },
  }
}

function invalid(message: string): ApiError {
  return { status: 400, type: 'InvalidUserInput', message }
}

function notFound(message: string): ApiError {
  return { status: 404, type: 'NotFoundError', message }
}
