/** Uniform in 0 ≤ r < 1; an argument wherever equals are told apart. */
export type Random = () => number
