import type { Command } from '../command.ts'

/** `yard version`: ours and, when one answers, the server's. */
export const version: Command = {
  path: ['version'],
  summary: 'Show the version of this program and of the server',
  options: [{ flags: '--client', summary: 'only this program; ask nobody' }],
  examples: [{ line: 'yard version --client', does: 'without a server' }],
  async run({ world, globals, options }) {
    const { writeObject } = await import('../output.ts')
    const { VERSION } = await import('../../base/version.ts')
    const server = options.client === true ? undefined : await serverVersion({ world, globals })
    await writeObject(world, globals.output, {
      value: { client: VERSION, ...(server === undefined ? {} : { server }) },
      name: VERSION,
      text: () =>
        `client  ${VERSION}\n${options.client === true ? '' : `server  ${server ?? 'not reachable'}\n`}`,
    })
    return 0
  },
}

async function serverVersion({
  world,
  globals,
}: Pick<Parameters<Command['run']>[0], 'world' | 'globals'>): Promise<string | undefined> {
  const { connect } = await import('../connection.ts')
  const { operations } = await import('../../api/operations.ts')
  const { isYardError } = await import('../../base/errors.ts')
  try {
    const { client } = await connect(world, globals)
    return (await client.call(operations.version, {})).version
  } catch (error) {
    if (isYardError(error, 'unreachable') || isYardError(error, 'unauthenticated')) return undefined
    throw error
  }
}
