import type { Command } from '../command.ts'

/** `yard events`. */
export const events: Command = {
  path: ['events'],
  summary: 'Show what happened and why, oldest first',
  options: [
    { flags: '--for <kind/name>', summary: 'only this object, for example model/tiny' },
    { flags: '--limit <count>', summary: 'how many of the newest' },
  ],
  examples: [
    { line: 'yard events', does: 'everything recent' },
    { line: 'yard events --for node/gpu-07', does: 'one node' },
  ],
  async run({ world, globals, options }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeList } = await import('../output.ts')
    const { formatAge, parseCount } = await import('../units.ts')
    const { Event } = await import('../../domain/event.ts')
    const { YardError } = await import('../../base/errors.ts')
    const { client } = await connect(world, globals)
    const [kindText, name] = typeof options.for === 'string' ? options.for.split('/') : []
    const kind = Event.shape.object.shape.kind.optional().safeParse(kindText)
    if (!kind.success)
      throw new YardError('usage', `--for takes kind/name, not "${options.for}"`, {
        hint: `kinds: ${Event.shape.object.shape.kind.options.join(', ')}`,
      })
    const { items } = await client.call(operations.listEvents, {
      query: {
        ...(kind.data === undefined ? {} : { kind: kind.data }),
        ...(name === undefined ? {} : { name }),
        limit: typeof options.limit === 'string' ? parseCount(options.limit, '--limit', 1, 1000) : 200,
      },
    })
    const nowMs = world.clock.now()
    await writeList(world, globals.output, {
      items,
      columns: [
        { title: 'AGE', value: (event) => formatAge(nowMs - event.atMs) },
        { title: 'TYPE', value: (event) => event.type },
        { title: 'OBJECT', value: (event) => `${event.object.kind}/${event.object.name}` },
        { title: 'REASON', value: (event) => event.reason },
        { title: 'MESSAGE', value: (event) => event.message },
      ],
      nameOf: (event) => event.id,
      emptyNote: 'No events.',
    })
    return 0
  },
}
