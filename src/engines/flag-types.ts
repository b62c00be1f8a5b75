import type { FlagType } from './engine-args.ts'

/** A flag without value; false leaves it out. */
export const on: FlagType = { kind: 'flag', whenFalse: 'omit' }
/** A flag without value; false writes its `--no-` spelling. */
export const onOff: FlagType = { kind: 'flag', whenFalse: '--no-' }
export const json: FlagType = { kind: 'json' }
export const word: FlagType = { kind: 'text', pattern: /^[\w.:+-]{1,100}$/, example: 'a word' }
/** A template's text, or the path of its file. */
export const template: FlagType = {
  kind: 'text',
  pattern: /^[^-].{0,4095}$/,
  example: 'a template or a path',
}
/** A repository of a hub or an absolute path. */
export const modelName: FlagType = {
  kind: 'text',
  pattern: /^(?:\w[\w.-]*(?:\/\w[\w.-]*)?|\/(?!.*\/\.\.(?:\/|$))[^:*?]{1,1000})$/,
  example: 'org/name or /path/to/model',
}
export const filePath: FlagType = {
  kind: 'text',
  pattern: /^\/(?!.*\/\.\.(?:\/|$)).{1,1000}$/,
  example: 'an absolute path without ".."',
}
/** Proportions, one a device: `3,1`. */
export const proportions: FlagType = {
  kind: 'text',
  pattern: /^\d+(?:\.\d+)?(?:,\d+(?:\.\d+)?){0,63}$/,
  example: '3,1',
}

export function int(least: number, most: number): FlagType {
  return { kind: 'int', least, most }
}

export function number(least: number, most: number): FlagType {
  return { kind: 'number', least, most }
}

export function choice(words: string): FlagType {
  return { kind: 'choice', of: words.split(' ') }
}
