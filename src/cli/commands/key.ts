import type { Command } from '../command.ts'

/** `yard key create`. */
export const keyCreate: Command = {
  path: ['key', 'create'],
  summary: 'Make an API key; its secret is shown once, alone on stdout',
  options: [
    { flags: '-n, --name <name>', summary: 'what it is for' },
    { flags: '--scope <scope>', summary: 'inference, read or manage (inference)', many: true },
    { flags: '--model <model>', summary: 'a model that it may call (all when left out)', many: true },
    { flags: '--expires <duration>', summary: 'such as 90d' },
  ],
  examples: [
    { line: 'KEY=$(yard key create --name ci --model tiny)', does: 'a key for one model' },
    { line: 'yard key create --name ops --scope manage', does: 'a key for the control API' },
  ],
  async run({ world, globals, options }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { KeyCreate } = await import('../../api/objects.ts')
    const { parseDurationMs } = await import('../units.ts')
    const { YardError } = await import('../../base/errors.ts')
    if (typeof options.name !== 'string')
      throw new YardError('usage', 'say what the key is for', { hint: 'yard key create --name ci' })
    const body = KeyCreate.safeParse({
      name: options.name,
      scopes: Array.isArray(options.scope) ? options.scope : ['inference'],
      ...(Array.isArray(options.model) ? { models: options.model } : {}),
      ...(typeof options.expires === 'string'
        ? { expiresAtMs: world.clock.now() + parseDurationMs(options.expires, '--expires') }
        : {}),
    })
    if (!body.success) throw new YardError('usage', '--scope takes inference, read or manage')
    const { client } = await connect(world, globals)
    const key = await client.call(operations.createKey, { body: body.data })
    if (globals.output === 'json') world.stdout.write(`${JSON.stringify(key, undefined, 2)}\n`)
    else world.stdout.write(`${key.secret}\n`)
    if (!globals.quiet)
      world.stderr.write(`Key ${key.id} "${key.name}" created. It is shown only now; store it.\n`)
    return 0
  },
}

/** `yard key list`. */
export const keyList: Command = {
  path: ['key', 'list'],
  aliases: ['ls'],
  summary: 'List API keys, without their secrets',
  examples: [{ line: 'yard key list', does: 'all keys' }],
  async run({ world, globals }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeList } = await import('../output.ts')
    const { formatAge } = await import('../units.ts')
    const { client } = await connect(world, globals)
    const { items } = await client.call(operations.listKeys, {})
    const nowMs = world.clock.now()
    await writeList(world, globals.output, {
      items,
      columns: [
        { title: 'ID', value: (key) => key.id },
        { title: 'NAME', value: (key) => key.name },
        { title: 'SCOPES', value: (key) => key.scopes.join(',') },
        { title: 'MODELS', value: (key) => key.models?.join(',') ?? 'all' },
        {
          title: 'EXPIRES',
          value: (key) =>
            key.expiresAtMs === undefined
              ? 'never'
              : key.expiresAtMs <= nowMs
                ? 'expired'
                : `in ${formatAge(key.expiresAtMs - nowMs)}`,
        },
        { title: 'AGE', value: (key) => formatAge(nowMs - key.createdAtMs) },
      ],
      nameOf: (key) => key.id,
      emptyNote: 'No keys.',
    })
    return 0
  },
}

/** `yard key revoke ID...`. */
export const keyRevoke: Command = {
  path: ['key', 'revoke'],
  summary: 'Revoke API keys',
  arguments: [{ syntax: '<id...>', summary: 'ids of the keys' }],
  examples: [{ line: 'yard key revoke 7Qm2ZpT4bW8s', does: 'it stops working at once' }],
  async run({ world, globals, args }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { forEachName } = await import('../each.ts')
    const { client } = await connect(world, globals)
    return forEachName(world, args, async (id) => {
      await client.call(operations.revokeKey, { params: { id } })
      if (!globals.quiet) world.stderr.write(`key ${id} revoked\n`)
    })
  },
}
