import { command } from '../../src/engines/command.ts'
import { engineConformance } from './suite.ts'
import { launchHere, YARD, yardMissing } from './tiny-files.ts'

engineConformance('command', () => yardMissing() ?? openCommand())

/** Any program will do; the simulated engine is one that is at hand, told where to listen by placeholders. */
async function openCommand() {
  const words = (speed: number) => [
    YARD,
    ...['engine', 'sim', '--model=demo', '--served-model-name', '{name}', '--host={host}', '--port={port}'],
    ...['--max-model-len=8192', '--startup-ms=300', `--speed=${speed}`],
  ]
  const text = launchHere({ modelRef: process.execPath, command: words(1000), contextTokens: 8192 })
  return {
    engine: command,
    text,
    long: { launch: { command: words(5) }, maxTokens: 8000 },
    embeddings: text,
    rerank: text,
    loadsSlowly: true,
    broken: [],
    exits: { idle: [0], busy: [0] },
    lacks: {
      progress: 'what an unknown program prints means nothing',
      version: 'there is no common way to ask for a version',
      adapters: 'an unknown program takes no adapters',
      bad_argument: 'an unknown program has words of its own for it',
      broken: 'an unknown program has words of its own for it',
    },
  }
}
