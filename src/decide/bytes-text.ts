const KIB = 1024
export const MIB = KIB * 1024
export const GIB = MIB * 1024

/**
 * A number of bytes for people, in the unit that the CLI takes back: `20GiB`, `1.5GiB`, `600MiB`. Round a need up
 * and what there is down, so that no message says that 12.0GiB does not fit in 12.0GiB.
 */
export function bytesText(bytes: number, round: 'up' | 'down'): string {
  const [unit, name] =
    bytes >= GIB ? ([GIB, 'GiB'] as const) : bytes >= MIB ? ([MIB, 'MiB'] as const) : ([KIB, 'KiB'] as const)
  const tenths = (Math.max(0, bytes) / unit) * 10
  return `${(round === 'up' ? Math.ceil(tenths) : Math.floor(tenths)) / 10}${name}`
}
