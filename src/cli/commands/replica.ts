import type { Command } from '../command.ts'

/** `yard replica list [MODEL]`. */
export const replicaList: Command = {
  path: ['replica', 'list'],
  aliases: ['ls'],
  summary: 'List replicas',
  arguments: [{ syntax: '[model]', summary: 'only this model’s' }],
  examples: [{ line: 'yard replica list -o wide', does: 'all, with ports and plan versions' }],
  async run({ world, globals, args }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeList } = await import('../output.ts')
    const { replicaColumns } = await import('../model-text.ts')
    const { client } = await connect(world, globals)
    const [model] = args
    const { items } = await client.call(operations.listReplicas, {
      query: model === undefined ? {} : { model },
    })
    await writeList(world, globals.output, {
      items,
      columns: replicaColumns(world.clock.now()),
      nameOf: (item) => item.name,
      emptyNote: 'No replicas.',
    })
    return 0
  },
}

/** `yard replica drain NAME...`. */
export const replicaDrain: Command = {
  path: ['replica', 'drain'],
  summary: 'Stop single replicas after their requests; others take their place',
  arguments: [{ syntax: '<replica...>', summary: 'names of the replicas' }],
  examples: [{ line: 'yard replica drain tiny-7qk2p', does: 'replace one replica' }],
  async run({ world, globals, args }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { forEachName } = await import('../each.ts')
    const { client } = await connect(world, globals)
    return forEachName(world, args, async (name) => {
      await client.call(operations.drainReplica, { params: { name } })
      if (!globals.quiet) world.stderr.write(`replica ${name} is draining; another one takes its place\n`)
    })
  },
}
