import type { NodeObject } from '../../api/objects.ts'
import type { Operation } from '../../api/operation.ts'
import type { Command, Invocation } from '../command.ts'

/** `yard node list`. */
export const nodeList: Command = {
  path: ['node', 'list'],
  aliases: ['ls'],
  summary: 'List nodes',
  examples: [{ line: 'yard node list -o wide', does: 'with labels and versions' }],
  async run({ world, globals }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeList } = await import('../output.ts')
    const { nodeColumns } = await import('../node-text.ts')
    const { client } = await connect(world, globals)
    const { items } = await client.call(operations.listNodes, {})
    await writeList(world, globals.output, {
      items,
      columns: nodeColumns(world.clock.now()),
      nameOf: (node) => node.name,
      emptyNote: 'No nodes. Make a token for one: yard node join-token',
    })
    return 0
  },
}

/** `yard node describe NAME`. */
export const nodeDescribe: Command = {
  path: ['node', 'describe'],
  aliases: ['get'],
  summary: 'Show one node: devices, replicas, ports, engines',
  arguments: [{ syntax: '<node>', summary: 'name of the node' }],
  examples: [{ line: 'yard node describe gpu-07', does: 'everything about gpu-07' }],
  async run({ world, globals, args }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { writeObject } = await import('../output.ts')
    const { nodeText } = await import('../node-text.ts')
    const { client } = await connect(world, globals)
    const node = await client.call(operations.getNode, { params: { name: args[0] ?? '' } })
    await writeObject(world, globals.output, {
      value: node,
      name: node.name,
      text: () => nodeText(node, world.clock.now()),
    })
    return 0
  },
}

/** `yard node cordon NAME...`. */
export const nodeCordon: Command = {
  path: ['node', 'cordon'],
  summary: 'Place nothing new on nodes',
  arguments: [{ syntax: '<node...>', summary: 'names of the nodes' }],
  examples: [{ line: 'yard node cordon gpu-07', does: 'before work on gpu-07' }],
  run: (invocation) => changeNodes(invocation, 'cordonNode', 'cordoned'),
}

/** `yard node uncordon NAME...`. */
export const nodeUncordon: Command = {
  path: ['node', 'uncordon'],
  summary: 'Let nodes take replicas again',
  arguments: [{ syntax: '<node...>', summary: 'names of the nodes' }],
  examples: [{ line: 'yard node uncordon gpu-07', does: 'after work on gpu-07' }],
  run: (invocation) => changeNodes(invocation, 'uncordonNode', 'takes replicas again'),
}

/** `yard node remove NAME...`. */
export const nodeRemove: Command = {
  path: ['node', 'remove'],
  aliases: ['rm'],
  summary: 'Forget nodes and revoke their keys',
  arguments: [{ syntax: '<node...>', summary: 'names of the nodes' }],
  examples: [{ line: 'yard node remove gpu-07', does: 'gpu-07 is gone for good' }],
  run: (invocation) => changeNodes(invocation, 'removeNode', 'removed'),
}

/** `yard node join-token`. */
export const nodeJoinToken: Command = {
  path: ['node', 'join-token'],
  summary: 'Make a token with which a machine may join; it is shown once',
  options: [
    { flags: '--role <role>', summary: 'agent or gateway' },
    { flags: '--ttl <duration>', summary: 'how long it can be used (1h)' },
    { flags: '--uses <count>', summary: 'how many machines may use it (1)' },
  ],
  examples: [
    { line: 'yard node join-token > token', does: 'for one agent' },
    {
      line: 'yard agent --server https://10.0.0.5:7701 --join-token-file token --listen 10.0.0.7:7702 --tls-cert-file c.pem --tls-key-file k.pem',
      does: 'on the new machine',
    },
  ],
  async run({ world, globals, options }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { parseCount, parseDurationMs } = await import('../units.ts')
    const { YardError } = await import('../../base/errors.ts')
    const role = options.role ?? 'agent'
    if (role !== 'agent' && role !== 'gateway')
      throw new YardError('usage', `--role takes agent or gateway, not "${String(role)}"`)
    const { client, server } = await connect(world, globals)
    const made = await client.call(operations.createJoinToken, {
      body: {
        role,
        ttlMs: typeof options.ttl === 'string' ? parseDurationMs(options.ttl, '--ttl') : 3_600_000,
        uses: typeof options.uses === 'string' ? parseCount(options.uses, '--uses', 1, 10_000) : 1,
      },
    })
    if (globals.output === 'json') world.stdout.write(`${JSON.stringify(made, undefined, 2)}\n`)
    else world.stdout.write(`${made.token}\n`)
    if (!globals.quiet)
      world.stderr.write(
        `It is shown only now. On the machine: yard ${role} --server ${server} --join-token-file FILE\n`,
      )
    return 0
  },
}

async function changeNodes(
  { world, globals, args }: Invocation,
  id: 'cordonNode' | 'uncordonNode' | 'removeNode',
  done: string,
): Promise<number> {
  const { connect } = await import('../connection.ts')
  const { operations } = await import('../../api/operations.ts')
  const { forEachName } = await import('../each.ts')
  const { client } = await connect(world, globals)
  const operation = operations[id] as Operation<{ name: string }, unknown, unknown, NodeObject | object>
  return forEachName(world, args, async (name) => {
    await client.call(operation, { params: { name } })
    if (!globals.quiet) world.stderr.write(`node ${name} ${done}\n`)
  })
}
