/** Reads the values that follow one flag. Returns argparse's complaint, or undefined when `done` was called. */
export interface ArgReader<Value> {
  /** How many following words may belong to the flag. */
  readonly most: number
  read(values: readonly string[], done: (value: Value) => void): string | undefined
}

export function text(): ArgReader<string> {
  return single((value, done) => {
    done(value)
    return undefined
  })
}

/** One or more words. */
export function list(): ArgReader<readonly string[]> {
  return {
    most: 1000,
    read(values, done) {
      if (values.length === 0) return 'expected at least one argument'
      done(values)
      return undefined
    },
  }
}

/** A whole number, with vLLM's suffixes: `32k` is 32,000 and `32K` is 32,768. */
export function int({ least, most }: { least: number; most?: number }): ArgReader<number> {
  return single((value, done) => {
    const parts = /^(-?\d+(?:\.\d+)?)([kmgKMG]?)$/.exec(value)
    const number = Number(parts?.[1]) * (SUFFIXES[parts?.[2] ?? ''] ?? 1)
    if (!parts || !Number.isInteger(number)) return `invalid int value: '${value}'`
    if (number < least || number > (most ?? Number.MAX_SAFE_INTEGER)) return `value out of range: ${value}`
    done(number)
    return undefined
  })
}

/** `aboveLeast`: the least itself is out. */
export function float(limits: { least: number; most: number; aboveLeast?: boolean }): ArgReader<number> {
  const { least, most, aboveLeast = false } = limits
  return single((value, done) => {
    const number = value.trim() === '' ? Number.NaN : Number(value)
    if (!Number.isFinite(number)) return `invalid float value: '${value}'`
    if (number < least || number > most || (aboveLeast && number === least))
      return `value out of range: ${value}`
    done(number)
    return undefined
  })
}

export function oneOf<Choice extends string>(...choices: readonly Choice[]): ArgReader<Choice> {
  return single((value, done) => {
    const choice = choices.find((known) => known === value)
    if (choice === undefined)
      return `invalid choice: '${value}' (choose from ${choices.map((known) => `'${known}'`).join(', ')})`
    done(choice)
    return undefined
  })
}

/** A flag without a value. */
export function flag(value: boolean): ArgReader<boolean> {
  return {
    most: 0,
    read(values, done) {
      if (values.length > 0) return `ignored explicit argument '${values[0]}'`
      done(value)
      return undefined
    },
  }
}

const SUFFIXES: Readonly<Record<string, number>> = {
  '': 1,
  k: 1e3,
  m: 1e6,
  g: 1e9,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
}

function single<Value>(
  read: (value: string, done: (value: Value) => void) => string | undefined,
): ArgReader<Value> {
  return {
    most: 1,
    read(values, done) {
      const [value] = values
      return value === undefined ? 'expected one argument' : read(value, done)
    },
  }
}
