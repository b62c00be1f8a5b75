import type { Command } from '../command.ts'

/** `yard embed MODEL [TEXT]`. */
export const embed: Command = {
  path: ['embed'],
  summary: 'Turn text into vectors, one for each line',
  arguments: [
    { syntax: '<model>', summary: 'name of the model' },
    { syntax: '[text...]', summary: 'one text; lines of stdin when left out' },
  ],
  options: [{ flags: '-f, --file <file>', summary: 'lines of this file' }],
  examples: [
    { line: 'yard embed tiny-embed "a rail yard"', does: 'one vector as JSON' },
    { line: 'yard embed tiny-embed -f lines.txt > vectors.jsonl', does: 'one JSON array a line' },
  ],
  async run({ world, globals, args, options }) {
    const { connect } = await import('../connection.ts')
    const { embedTexts } = await import('../inference.ts')
    const { YardError } = await import('../../base/errors.ts')
    const [model = '', ...words] = args
    const lines = linesOf(
      typeof options.file === 'string'
        ? await world.readFile(world.absolutePath(options.file))
        : words.length > 0
          ? words.join(' ')
          : await world.readStdin(64 * 2 ** 20),
    )
    if (lines === undefined) throw new YardError('usage', `${String(options.file)} can't be read`)
    if (lines.length === 0)
      throw new YardError('usage', 'there is no text', { hint: `yard embed ${model} "some text"` })
    const connection = await connect(world, globals)
    const access = {
      fetch: world.fetch,
      baseUrl: await connection.gateway(),
      token: connection.token,
      nowMs: () => world.clock.monotonicMs(),
    }
    for (let at = 0; at < lines.length; at += BATCH) {
      const vectors = await embedTexts(
        access,
        model,
        lines.slice(at, at + BATCH),
        AbortSignal.timeout(globals.timeoutMs ?? 300_000),
      )
      world.stdout.write(vectors.map((vector) => `${JSON.stringify(vector)}\n`).join(''))
    }
    return 0
  },
}

const BATCH = 64

function linesOf(text: string | undefined): readonly string[] | undefined {
  return text?.split(/\r?\n/).filter((line) => line.trim() !== '')
}
