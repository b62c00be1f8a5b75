/** Seeds that showed a fault, and what it was. Each failed before its fix and is run for ever. */
export const REGRESSION_SEEDS: readonly { readonly seed: number; readonly fault: string }[] = []
