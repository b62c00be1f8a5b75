import type { Command } from '../command.ts'

/** `yard list`: all models. */
export const list: Command = {
  path: ['list'],
  aliases: ['ls'],
  summary: 'List models',
  examples: [
    { line: 'yard list', does: 'all models' },
    { line: 'yard list -o json', does: 'the same for programs' },
    { line: 'yard list -o name', does: 'names only' },
  ],
  async run({ world, globals }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeList } = await import('../output.ts')
    const { modelColumns } = await import('../model-text.ts')
    const { client } = await connect(world, globals)
    const { items } = await client.call(operations.listModels, {})
    await writeList(world, globals.output, {
      items,
      columns: modelColumns(world.clock.now()),
      nameOf: (model) => model.name,
      emptyNote: 'No models. Load one: yard load builtin:tiny',
    })
    const unready = items.find((model) => model.status.phase === 'failed' || model.status.phase === 'pending')
    if (unready && !globals.quiet && world.stdout.isTty)
      world.stderr.write(`${unready.name} is not ready. Why: yard status ${unready.name}\n`)
    return 0
  },
}
