#!/usr/bin/env node
import { VERSION } from './base/version.ts'
import { runYard } from './cli/run.ts'
import { roleCommands } from './roles/commands.ts'
import { endProcess, processWorld } from './roles/process-world.ts'

const argv = process.argv.slice(2)

// An engine's words are its own (vLLM's flags for `sim`), so they do not pass through our parser.
if (argv[0] === 'engine' && argv.length > 1) {
  const { runEngine } = await import('./roles/engine.ts')
  process.exitCode = await runEngine(argv.slice(1))
} else {
  await endProcess(await runYard(argv, { world: processWorld(), version: VERSION, more: roleCommands }))
}
