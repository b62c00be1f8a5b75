import { hashSecret, makeKey } from '../base/key-format.ts'
import type { Key } from '../domain/access.ts'
import type { ControlDeps } from './context.ts'
import { keyPepper } from './machine-credentials.ts'

/** A new key and its text, which is shown once. */
export function newKey(
  { randomBytes, pepper, clock }: Pick<ControlDeps, 'randomBytes' | 'pepper' | 'clock'>,
  about: Omit<Key, 'id' | 'hash' | 'createdAtMs'>,
): { readonly key: Key; readonly text: string } {
  const { id, secret, text } = makeKey('yk', randomBytes)
  return {
    key: { ...about, id, hash: hashSecret(keyPepper(pepper), secret), createdAtMs: clock.now() },
    text,
  }
}
