import { defineConfig } from 'vite'

/** Bundles the benchmarks into `dist/bench`; they are not shipped. */
export default defineConfig({
  logLevel: 'warn',
  publicDir: false,
  build: {
    ssr: true,
    target: 'node20',
    outDir: 'dist/bench',
    minify: false,
    rollupOptions: { input: { main: 'bench/main.ts' } },
  },
  ssr: { noExternal: true, external: ['node-llama-cpp', '@grpc/grpc-js', '@grpc/proto-loader'] },
})
