export { type ControlApp, createControlApp } from './app.ts'
export { bootstrapAdminKey } from './bootstrap.ts'
export type { ControlDeps } from './context.ts'
export { tables } from './records.ts'
