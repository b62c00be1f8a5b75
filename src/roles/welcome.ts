import type { World } from '../cli/world.ts'

export interface Welcome {
  readonly gateway: string
  readonly control: string
  readonly adminKeyFile: string
  /** Set at the first start only: the key is shown once. */
  readonly newAdminKey: string | undefined
  readonly modelReady: boolean
}

/** Tells a person where everything is and what to try. */
export function welcome(world: World, told: Welcome): void {
  const key = told.newAdminKey === undefined ? `$(cat ${shellWord(told.adminKeyFile)})` : told.newAdminKey
  const lines = [
    '',
    'Yardmaster is up.',
    `  gateway    ${told.gateway}/v1    (OpenAI-compatible)`,
    `  console    ${told.control}/`,
    told.newAdminKey === undefined
      ? `  admin key  in ${told.adminKeyFile}`
      : `  admin key  ${told.newAdminKey}\n             (shown only now; kept in ${told.adminKeyFile})`,
    '',
    told.modelReady ? 'Try it:' : 'When a model is loaded (yard load builtin:tiny), try it:',
    '',
    `curl ${told.gateway}/v1/chat/completions -H "Authorization: Bearer ${key}" -H "Content-Type: application/json" -d '{"model": "tiny", "max_tokens": 32, "messages": [{"role": "user", "content": "Hello"}]}'`,
    '',
    'or, in another terminal: yard chat tiny · yard list · yard status · yard --help',
    'Ctrl-C stops.',
    '',
  ]
  world.stdout.write(`${lines.join('\n')}\n`)
}

/** A path as one word of a POSIX shell. */
function shellWord(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`
}
