import type { Command } from '../command.ts'

/** `yard whoami`. */
export const whoami: Command = {
  path: ['whoami'],
  summary: 'Show who the credential belongs to and where it came from',
  examples: [{ line: 'yard whoami', does: 'name, scopes, server, source of the token' }],
  async run({ world, globals }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeObject } = await import('../output.ts')
    const { client, server, serverFrom, tokenFrom } = await connect(world, globals)
    const who = await client.call(operations.whoAmI, {})
    await writeObject(world, globals.output, {
      value: { ...who, server, serverFrom, tokenFrom },
      name: who.name,
      text: () =>
        [
          `Name:    ${who.name}`,
          `Key:     ${who.keyId}`,
          `Scopes:  ${who.scopes.join(', ')}`,
          `Models:  ${who.models?.join(', ') ?? 'all'}`,
          `Expires: ${who.expiresAtMs === undefined ? 'never' : new Date(who.expiresAtMs).toISOString()}`,
          `Server:  ${server} (from ${serverFrom})`,
          `Token:   from ${tokenFrom}`,
          '',
        ].join('\n'),
    })
    return 0
  },
}
