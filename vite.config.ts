import { defineConfig } from 'vite'

/** Bundles the program: one lazy chunk for each role and command, dependencies with native parts left outside. */
export default defineConfig({
  logLevel: 'warn',
  publicDir: false,
  build: {
    ssr: true,
    target: 'node20',
    outDir: 'dist',
    // A program that runs from here loads its chunks when it needs them: a rebuild must not take them away.
    emptyOutDir: false,
    sourcemap: true,
    minify: false,
    rollupOptions: {
      input: { yard: 'src/main.ts' },
      output: { entryFileNames: '[name].js', chunkFileNames: 'chunks/[name]-[hash].js' },
      external: ['node-llama-cpp', '@grpc/grpc-js', '@grpc/proto-loader'],
    },
  },
  ssr: { noExternal: true, external: ['node-llama-cpp', '@grpc/grpc-js', '@grpc/proto-loader'] },
})
