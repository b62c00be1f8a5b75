export type { Permission } from '../domain/access.ts'
