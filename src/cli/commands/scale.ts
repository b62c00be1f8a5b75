import type { Command } from '../command.ts'

/** `yard scale NAME N`. */
export const scale: Command = {
  path: ['scale'],
  summary: 'Set the number of replicas of a model and wait for it',
  arguments: [
    { syntax: '<model>', summary: 'name of the model' },
    { syntax: '[count]', summary: 'how many replicas (or --replicas)' },
  ],
  options: [
    { flags: '-r, --replicas <count>', summary: 'how many replicas' },
    { flags: '--current <count>', summary: 'refuse unless this is the present number' },
    { flags: '--no-wait', summary: 'return when it is accepted' },
  ],
  examples: [
    { line: 'yard scale tiny 2', does: 'two replicas of tiny' },
    { line: 'yard scale tiny 3 --current 2', does: 'only if there are two now' },
  ],
  async run({ world, globals, args, options }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { parseCount } = await import('../units.ts')
    const { waitForModel } = await import('../wait.ts')
    const { YardError } = await import('../../base/errors.ts')
    const [name = '', count = options.replicas] = args
    if (typeof count !== 'string')
      throw new YardError('usage', 'say how many replicas', { hint: `yard scale ${name} 2` })
    const replicas = parseCount(count, 'the number of replicas', 0, 1000)
    const current =
      typeof options.current === 'string' ? parseCount(options.current, '--current', 0, 1000) : undefined
    const { client } = await connect(world, globals)
    const model = await client.call(operations.scaleModel, {
      params: { name },
      body: { replicas, ...(current === undefined ? {} : { currentReplicas: current }) },
    })
    if (options.wait !== false)
      await waitForModel(world, globals, client, name, replicas === 0 ? 'stopped' : 'ready', model.generation)
    if (!globals.quiet) world.stderr.write(`model ${name} scaled to ${replicas}\n`)
    return 0
  },
}
