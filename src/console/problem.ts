import { errorText, isYardError } from '../base/errors.ts'
import type { Texts } from './texts.ts'

/** What went wrong and what to do next, for a person at this page. */
export function problemText(error: unknown, texts: Texts): string {
  // The hint of `unreachable` is about the CLI's flags; a deadline is a DOMException of the browser.
  if (isYardError(error, 'unreachable') || error instanceof DOMException) return texts.unreachable
  const text = errorText(error)
  return isYardError(error) && error.hint !== undefined ? `${text}; ${error.hint}` : text
}
