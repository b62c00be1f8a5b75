import { accessOperations } from './access-operations.ts'
import { machineOperations } from './machine-operations.ts'
import { modelOperations } from './model-operations.ts'
import { nodeOperations } from './node-operations.ts'

/** Every operation of the control API. */
export const operations = {
  ...modelOperations,
  ...nodeOperations,
  ...machineOperations,
  ...accessOperations,
} as const

export type Operations = typeof operations
