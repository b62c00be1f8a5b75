import type { ModelTemplate } from '../domain/model.ts'
import { intArg } from './engine-args.ts'
import { isGguf, type Problem, sourceOf } from './template-problems.ts'

/** Where the user states both how many devices and how they are divided, the two must agree. */
export function shardingProblems(template: ModelTemplate, flags: readonly string[]): readonly Problem[] {
  const { devices } = template.resources
  const stated = flags.filter((flag) => intArg(template.engineArgs, flag) !== undefined)
  const first = stated[0]
  if (devices === undefined || devices === 0 || first === undefined) return []
  const product = stated.reduce((total, flag) => total * (intArg(template.engineArgs, flag) ?? 1), 1)
  // The first flag is the one that otherwise takes what the others leave.
  const fits = first === flags[0] ? product === devices : devices % product === 0
  if (fits) return []
  return [
    {
      field: `engineArgs.${first}`,
      message: `${stated.join(' × ')} is ${product}, which does not fit resources.devices ${devices}; leave the flags out or make them agree`,
    },
  ]
}

/**
 * vLLM and SGLang serve directories in Hugging Face's layout. Their GGUF support is experimental and converts the
 * tokenizer at each start, so it must be asked for by naming the base model's (`insistBy`).
 */
export function hubOrGgufProblems(
  template: ModelTemplate,
  engine: string,
  insistBy: readonly string[],
): readonly Problem[] {
  if (!isGguf(sourceOf(template)) || insistBy.some((flag) => template.engineArgs[flag] !== undefined))
    return []
  return [
    {
      field: 'source',
      message: `${engine} serves GGUF files only as an experiment; use engine llama-server or llama, or insist by naming the base model in engineArgs.${insistBy[0]}`,
    },
  ]
}
