import { StrictMode, useEffect, useMemo, useState } from 'react'
import { createRoot } from 'react-dom/client'
import { clientOf } from './live.ts'
import { Overview } from './pages/overview.tsx'
import { SignIn } from './pages/sign-in.tsx'
import './style.css'
import { type Language, TEXTS } from './texts.ts'

const KEY = 'yard.key'
const LANGUAGE = 'yard.language'

function App() {
  const [language, setLanguage] = useState<Language>(
    () => languageOf(localStorage.getItem(LANGUAGE)) ?? (navigator.language.startsWith('zh') ? 'zh' : 'en'),
  )
  // The key lives as long as the tab: nothing of it stays on the machine.
  const [key, setKey] = useState(() => sessionStorage.getItem(KEY) ?? '')
  const [problem, setProblem] = useState<'unauthenticated' | 'forbidden'>()
  const client = useMemo(() => clientOf(key), [key])
  const texts = TEXTS[language]

  useEffect(() => {
    document.documentElement.lang = texts.locale
    localStorage.setItem(LANGUAGE, language)
  }, [language, texts])

  const signIn = (given: string) => {
    sessionStorage.setItem(KEY, given)
    setProblem(undefined)
    setKey(given)
  }
  const signOut = (because?: 'unauthenticated' | 'forbidden') => {
    sessionStorage.removeItem(KEY)
    setProblem(because)
    setKey('')
  }

  return (
    <>
      <header>
        <h1>{texts.title}</h1>
        <nav>
          <button
            type="button"
            lang={TEXTS[language === 'zh' ? 'en' : 'zh'].locale}
            onClick={() => setLanguage(language === 'zh' ? 'en' : 'zh')}
          >
            {texts.language}
          </button>
          {key !== '' && (
            <button type="button" onClick={() => signOut()}>
              {texts.signOut}
            </button>
          )}
        </nav>
      </header>
      <main>
        {key === '' ? (
          <SignIn texts={texts} problem={problem} onKey={signIn} />
        ) : (
          <Overview texts={texts} client={client} onRefused={signOut} />
        )}
      </main>
    </>
  )
}

function languageOf(text: string | null): Language | undefined {
  return text === 'en' || text === 'zh' ? text : undefined
}

const root = document.getElementById('root')
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  )
}
