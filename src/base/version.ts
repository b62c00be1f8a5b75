/** Version of this program; the release script and package.json carry the same (a test says so). */
export const VERSION = '0.1.0'
