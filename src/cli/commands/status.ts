import type { Command } from '../command.ts'

/** `yard status [NAME]`: the whole cluster, or one model. */
export const status: Command = {
  path: ['status'],
  summary: 'Show the cluster, or one model with its replicas and recent events',
  arguments: [{ syntax: '[model]', summary: 'name of a model' }],
  examples: [
    { line: 'yard status', does: 'nodes, models and what needs attention' },
    { line: 'yard status tiny', does: 'one model: replicas, reasons, events' },
  ],
  async run({ world, globals, args }) {
    const { connect } = await import('../connection.ts')
    const { clusterStatus, modelStatus } = await import('../status.ts')
    const connection = await connect(world, globals)
    const [name] = args
    return name === undefined
      ? clusterStatus(world, globals, connection)
      : modelStatus(world, globals, connection, name)
  },
}
