import type { Command } from '../command.ts'

/** `yard load REF`. */
export const load: Command = {
  path: ['load'],
  summary: 'Load a model and wait until it is ready',
  details:
    'SOURCE is builtin:tiny, file:/path/model.gguf, hf:org/name[@revision], sim:name, command:/path/program or the URL of an OpenAI-compatible service. The name of a model that was unloaded brings it back.',
  arguments: [{ syntax: '<source>', summary: 'what to load, or the name of a known model' }],
  options: [
    { flags: '-n, --name <name>', summary: 'name that clients use (made from the source when left out)' },
    {
      flags: '-e, --engine <engine>',
      summary: 'llama, vllm, sglang, llama-server, sim, command, external (by the source when left out)',
    },
    { flags: '-r, --replicas <count>', summary: 'how many copies' },
    { flags: '--context <tokens>', summary: 'context of each sequence' },
    { flags: '--concurrency <count>', summary: 'sequences that a replica serves at a time' },
    { flags: '--embeddings', summary: 'serve embeddings where the engine must be told' },
    { flags: '--adapter <name=source>', summary: 'a LoRA served under its own name', many: true },
    { flags: '--gpus <count>', summary: 'devices for each replica' },
    { flags: '--device-kind <kind>', summary: 'cuda, rocm, ascend, metal or cpu' },
    { flags: '--memory <size>', summary: 'bytes on each device, such as 40GiB; overrides the estimate' },
    { flags: '--host-memory <size>', summary: 'main memory beside that' },
    { flags: '--engine-arg <key=value>', summary: 'a flag of the engine, without dashes', many: true },
    { flags: '--node-selector <key=value>', summary: 'only nodes with this label', many: true },
    { flags: '--strategy <strategy>', summary: 'spread or pack' },
    { flags: '--priority <number>', summary: 'higher is placed first' },
    { flags: '--label <key=value>', summary: 'a label on the model', many: true },
    { flags: '--external-model <name>', summary: 'the model’s name at an external service' },
    {
      flags: '--external-key-env <variable>',
      summary: 'variable of the gateway with the external service’s key',
    },
    { flags: '--no-wait', summary: 'return when it is accepted' },
  ],
  examples: [
    { line: 'yard load builtin:tiny', does: 'the model in the box' },
    { line: 'yard load file:/models/qwen3-8b-q4.gguf --name qwen', does: 'any GGUF file' },
    { line: 'yard load hf:Qwen/Qwen3-32B --engine vllm --gpus 2 --memory 40GiB', does: 'vLLM on two GPUs' },
    { line: 'yard load sim:big --engine sim --replicas 4', does: 'four simulated replicas' },
    {
      line: 'yard load command:/usr/bin/my-server --name mine --memory 2GiB -- --port {port}',
      does: 'any program',
    },
  ],
  async run({ world, globals, args, rest, options }) {
    const { connect } = await import('../connection.ts')
    const { operations } = await import('../../api/operations.ts')
    const { specOf } = await import('../load-spec.ts')
    const { waitForModel } = await import('../wait.ts')
    const asked = await specOf(world, args[0] ?? '', rest, options)
    const { client, gateway } = await connect(world, globals)
    const model = await client.call(operations.loadModel, { params: { name: asked.name }, body: asked.body })
    if (options.wait === false) {
      world.stdout.write(`${model.name}\n`)
      return 0
    }
    const ready = await waitForModel(world, globals, client, model.name, 'ready', model.generation)
    if (globals.output === 'json') world.stdout.write(`${JSON.stringify(ready, undefined, 2)}\n`)
    else world.stdout.write(`${model.name}\n`)
    if (!globals.quiet) {
      world.stderr.write(
        `${model.name} is ready at ${await gateway().catch(() => 'the gateway')}\n${ready?.spec.embeddings === true ? 'use it: yard embed' : 'talk to it: yard chat'} ${model.name}\n`,
      )
    }
    return 0
  },
}
