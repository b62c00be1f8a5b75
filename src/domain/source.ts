import { z } from 'zod'

/** Where a model's weights, program or service are. */
export type Source =
  | { readonly kind: 'builtin'; readonly name: string }
  | { readonly kind: 'file'; readonly path: string }
  | { readonly kind: 'hf'; readonly repo: string; readonly revision: string | undefined }
  | { readonly kind: 'sim'; readonly name: string }
  | { readonly kind: 'command'; readonly path: string }
  | { readonly kind: 'external'; readonly url: string }

export const BUILTIN_NAMES = ['tiny', 'tiny-embed', 'tiny-lora'] as const

/** The source that `text` names, or why it names none. */
export function parseSource(text: string): Source | { readonly kind: 'invalid'; readonly message: string } {
  if (/^https?:\/\//.test(text)) return parseExternal(text)
  const colon = text.indexOf(':')
  if (colon < 1) {
    return invalid(
      `"${text}" has no scheme; write builtin:tiny, file:/path/model.gguf, hf:org/name, sim:name, command:/path/program or https://host/v1`,
    )
  }
  const scheme = text.slice(0, colon)
  const rest = text.slice(colon + 1)
  switch (scheme) {
    case 'builtin':
      return (BUILTIN_NAMES as readonly string[]).includes(rest)
        ? { kind: 'builtin', name: rest }
        : invalid(`there is no built-in model "${rest}"; there are ${BUILTIN_NAMES.join(', ')}`)
    case 'file':
      return isSafePath(rest)
        ? { kind: 'file', path: rest }
        : invalid(`"${rest}" is not an absolute path without ".." parts`)
    case 'command':
      return isSafePath(rest)
        ? { kind: 'command', path: rest }
        : invalid(`"${rest}" is not an absolute path without ".." parts`)
    case 'sim':
      return /^[\w./-]{1,200}$/.test(rest)
        ? { kind: 'sim', name: rest }
        : invalid(`"${rest}" is not a name for a simulated model`)
    case 'hf':
      return parseHf(rest)
    default:
      return invalid(`unknown scheme "${scheme}:"; use builtin:, file:, hf:, sim:, command: or https://`)
  }
}

/** A source as text; refused with the reason when it names none. */
export const SourceText = z
  .string()
  .max(4096)
  .superRefine((text, context) => {
    const source = parseSource(text)
    if (source.kind === 'invalid') context.addIssue({ code: 'custom', message: source.message })
  })

function parseHf(rest: string): ReturnType<typeof parseSource> {
  const match = /^(\w[\w.-]*\/\w[\w.-]*)(?:@(\w[\w.-]{0,99}))?$/.exec(rest)
  if (!match?.[1] || match[1].includes('..')) return invalid(`"${rest}" is not org/name or org/name@revision`)
  return { kind: 'hf', repo: match[1], revision: match[2] }
}

function parseExternal(text: string): ReturnType<typeof parseSource> {
  const match = /^https?:\/\/(\[[0-9a-f:]+\]|[\w.-]+)(:\d{1,5})?(\/[^\s?#]*)?$/i.exec(text)
  return match
    ? { kind: 'external', url: text.replace(/\/+$/, '') }
    : invalid(`"${text}" is not a URL such as https://host/v1 (no query, no credentials)`)
}

function isSafePath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0') && !path.split('/').includes('..')
}

function invalid(message: string): { kind: 'invalid'; message: string } {
  return { kind: 'invalid', message }
}
