import { useState } from 'react'
import type { Texts } from '../texts.ts'

interface SignInProps {
  readonly texts: Texts
  readonly problem: 'unauthenticated' | 'forbidden' | undefined
  readonly onKey: (key: string) => void
}

/** Asks for a key. */
export function SignIn({ texts, problem, onKey }: SignInProps) {
  const [key, setKey] = useState('')
  return (
    <form
      className="card narrow"
      onSubmit={(event) => {
        event.preventDefault()
        if (key.trim() !== '') onKey(key.trim())
      }}
    >
      <label htmlFor="key">{texts.key}</label>
      <input
        id="key"
        type="password"
        autoComplete="current-password"
        value={key}
        onChange={(event) => setKey(event.target.value)}
        aria-describedby="key-help"
      />
      <p id="key-help" className="quiet">
        {texts.keyHelp}
      </p>
      {problem !== undefined && (
        <p role="alert">{problem === 'forbidden' ? texts.keyForbidden : texts.keyRefused}</p>
      )}
      <button type="submit" className="primary">
        {texts.signIn}
      </button>
    </form>
  )
}
