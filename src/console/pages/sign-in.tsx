import { useState } from 'react'
import { checkKey } from '../live.ts'
import type { Texts } from '../texts.ts'

type Problem = 'unauthenticated' | 'forbidden' | 'unreachable'

interface SignInProps {
  readonly texts: Texts
  /** Why the page is back here, when a key that worked stopped working. */
  readonly problem: Problem | undefined
  readonly onKey: (key: string) => void
}

/** Asks for a key, and keeps asking until it is one that may read the cluster. */
export function SignIn({ texts, problem: earlier, onKey }: SignInProps) {
  const [key, setKey] = useState('')
  const [problem, setProblem] = useState(earlier)
  const [busy, setBusy] = useState(false)
  const submit = async () => {
    const given = key.trim()
    if (given === '' || busy) return
    setBusy(true)
    setProblem(undefined)
    const answer = await checkKey(given)
    setBusy(false)
    if (answer === 'fine') onKey(given)
    else setProblem(answer)
  }
  return (
    <form
      className="card narrow"
      aria-busy={busy}
      onSubmit={(event) => {
        event.preventDefault()
        void submit()
      }}
    >
      {/* Password managers want a name beside a secret. */}
      <input type="text" autoComplete="username" value="yard" readOnly hidden />
      <label htmlFor="key">{texts.key}</label>
      <input
        id="key"
        type="password"
        autoComplete="current-password"
        required
        value={key}
        onChange={(event) => setKey(event.target.value)}
        aria-describedby="key-help"
        aria-invalid={problem === 'unauthenticated' || problem === 'forbidden'}
      />
      <p id="key-help" className="quiet">
        {texts.keyHelp}
      </p>
      {problem !== undefined && <p role="alert">{textOf(problem, texts)}</p>}
      <button type="submit" className="primary">
        {texts.signIn}
      </button>
    </form>
  )
}

function textOf(problem: Problem, texts: Texts): string {
  if (problem === 'unreachable') return texts.unreachable
  return problem === 'forbidden' ? texts.keyForbidden : texts.keyRefused
}
