import type { Command } from '../command.ts'
import { list } from './list.ts'
import { status } from './status.ts'

/** `yard model list`, the long form of `yard list`. */
export const modelList: Command = { ...list, path: ['model', 'list'] }

/** `yard model describe NAME`, the long form of `yard status NAME`. */
export const modelDescribe: Command = {
  ...status,
  path: ['model', 'describe'],
  aliases: ['get'],
  summary: 'Show one model with its replicas, conditions and recent events',
  arguments: [{ syntax: '<model>', summary: 'name of the model' }],
  examples: [{ line: 'yard model describe tiny', does: 'everything about tiny' }],
}

/** `yard model delete NAME...`. */
export const modelDelete: Command = {
  path: ['model', 'delete'],
  aliases: ['rm'],
  summary: 'Drain and delete models',
  details: 'Waits until every replica has ended, unless --no-wait is given.',
  arguments: [{ syntax: '<model...>', summary: 'names of the models' }],
  options: [{ flags: '--no-wait', summary: 'return when the deletion is accepted' }],
  examples: [{ line: 'yard model delete mine', does: 'delete the model "mine"' }],
  async run({ world, globals, args, options }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { waitForModel } = await import('../wait.ts')
    const { forEachName } = await import('../each.ts')
    const { client } = await connect(world, globals)
    return forEachName(world, args, async (name) => {
      await client.call(operations.deleteModel, { params: { name } })
      if (options.wait !== false) await waitForModel(world, globals, client, name, 'gone')
      if (!globals.quiet) world.stderr.write(`model ${name} deleted\n`)
    })
  },
}

/** `yard model revisions NAME`. */
export const modelRevisions: Command = {
  path: ['model', 'revisions'],
  summary: 'List the revisions of a model, newest first',
  arguments: [{ syntax: '<model>', summary: 'name of the model' }],
  examples: [{ line: 'yard model revisions tiny', does: 'what tiny was and is' }],
  async run({ world, globals, args }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeList } = await import('../output.ts')
    const { formatAge } = await import('../units.ts')
    const { client } = await connect(world, globals)
    const { items } = await client.call(operations.listRevisions, { params: { name: args[0] ?? '' } })
    await writeList(world, globals.output, {
      items,
      columns: [
        { title: 'REVISION', value: (revision) => revision.name },
        { title: 'CURRENT', value: (revision) => (revision.current ? 'yes' : '') },
        { title: 'SOURCE', value: (revision) => revision.template.source },
        { title: 'ENGINE', value: (revision) => revision.template.engine },
        { title: 'AGE', value: (revision) => formatAge(world.clock.now() - revision.createdAtMs) },
      ],
      nameOf: (revision) => revision.name,
      emptyNote: 'No revisions yet.',
    })
    return 0
  },
}
