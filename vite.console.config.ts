import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** Builds the console into `dist/console`: hashed files, nothing inlined, nothing from another host. */
export default defineConfig({
  root: 'src/console',
  base: './',
  logLevel: 'warn',
  plugins: [react()],
  build: {
    outDir: '../../dist/console',
    emptyOutDir: false,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
})
