/**
 * Seeds that showed a fault, and what it was. Each fails when its fix is taken back, as of the day it was written down;
 * what a seed does changes with the script, so each fix also has a test of its own.
 */
export const REGRESSION_SEEDS: readonly { readonly seed: number; readonly fault: string }[] = [
  { seed: 1, fault: 'a replica that was stopped before it was ready became a draining endpoint' },
  {
    seed: 1,
    fault: 'a new leader gave up nodes while most nodes were missing, on the word of the leader before it',
  },
  {
    seed: 2,
    fault: 'a gateway that asked two servers by turns took their different revisions for a store begun anew',
  },
]
