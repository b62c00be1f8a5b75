import type { Command } from '../command.ts'

/** `yard unload NAME...`. */
export const unload: Command = {
  path: ['unload'],
  summary: 'Stop models after their requests; what they are stays known',
  arguments: [{ syntax: '<model...>', summary: 'names of the models' }],
  options: [{ flags: '--no-wait', summary: 'return when it is accepted' }],
  examples: [
    { line: 'yard unload mine', does: 'drain and stop every replica of "mine"' },
    { line: 'yard load mine', does: 'bring it back as it was' },
  ],
  async run({ world, globals, args, options }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { waitForModel } = await import('../wait.ts')
    const { forEachName } = await import('../each.ts')
    const { client } = await connect(world, globals)
    return forEachName(world, args, async (name) => {
      const model = await client.call(operations.unloadModel, { params: { name } })
      if (options.wait !== false)
        await waitForModel(world, globals, client, name, 'stopped', model.generation)
      if (!globals.quiet) world.stderr.write(`model ${name} unloaded\n`)
    })
  },
}
