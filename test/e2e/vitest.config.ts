import { defineConfig } from 'vitest/config'
import { SummaryReporter } from '../support/summary-reporter.ts'

/** End to end: the built `dist/yard.js` as real processes. One file at a time, since they share the processors. */
export default defineConfig({
  test: {
    root: import.meta.dirname,
    include: ['**/*.test.ts'],
    globalSetup: ['../setup/debian-packages.ts'],
    reporters: ['default', new SummaryReporter()],
    fileParallelism: false,
    testTimeout: 120_000,
    hookTimeout: 120_000,
    pool: 'forks',
  },
})
