/** `npm run bench -- gateway|store|startup [options]`: each measures beside a baseline in the same run. */
const [name, ...words] = process.argv.slice(2)

switch (name) {
  case 'gateway':
    await (await import('./gateway.ts')).runGatewayBench(words)
    break
  case 'store':
    await (await import('./store.ts')).runStoreBench(words)
    break
  case 'startup':
    await (await import('./startup.ts')).runStartupBench()
    break
  default:
    console.error('usage: npm run bench -- gateway|store|startup [options]')
    process.exitCode = 2
}
