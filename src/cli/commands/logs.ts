import type { Command } from '../command.ts'

/** `yard logs TARGET`. */
export const logs: Command = {
  path: ['logs'],
  summary: 'Show what the engine of a model or replica wrote',
  arguments: [{ syntax: '<target>', summary: 'a model or a replica (or model/NAME, replica/NAME)' }],
  options: [
    { flags: '-f, --follow', summary: 'go on until interrupted' },
    { flags: '--tail <lines>', summary: 'how many of the last lines (200)' },
    { flags: '--previous', summary: 'the run before the last start' },
  ],
  examples: [
    { line: 'yard logs tiny', does: 'all replicas of tiny, each line with its replica' },
    { line: 'yard logs -f tiny-7qk2p', does: 'follow one replica' },
  ],
  async run({ world, globals, args, options }) {
    const { connect } = await import('../connection.ts')
    const { showLogs } = await import('../log-stream.ts')
    const { parseCount } = await import('../units.ts')
    return showLogs(world, await connect(world, globals), args[0] ?? '', {
      follow: options.follow === true,
      previous: options.previous === true,
      tail: typeof options.tail === 'string' ? parseCount(options.tail, '--tail', 0, 100_000) : 200,
    })
  },
}
