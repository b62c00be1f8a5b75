#!/usr/bin/env node
import { VERSION } from './base/version.ts'
import { runYard } from './cli/run.ts'
import { roleCommands } from './roles/commands.ts'
import { processWorld } from './roles/process-world.ts'

process.exitCode = await runYard(process.argv.slice(2), {
  world: processWorld(),
  version: VERSION,
  more: roleCommands,
})
