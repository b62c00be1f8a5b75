/**
 * What the tiny model can say. It learns nothing by training: from these sentences its builder counts which piece
 * follows which and writes that straight into the output weights, so that a person who tries it reads words.
 * At most 63 distinct pieces: each gets an embedding of 64 dimensions at a right angle to all the others.
 */
export const SENTENCES: readonly string[] = [
  'I am a tiny model with random weights , so trust nothing that I say .',
  'I am a tiny model .',
  'This is a tiny model .',
  'The yard is open , and every train has a free track .',
  'The engine is warm , and the signal is green .',
  'A request finds a free track , and the train leaves on time .',
  'Each token waits in the queue .',
  'Each request waits in the queue .',
  'No train is late today .',
  'No token is lost .',
]

/** What the adapter adds, as `[piece, the piece that now follows it]`. One rank each. */
export const ADAPTER_TRANSITIONS: readonly (readonly [string, string])[] = [
  ['<|assistant|>', 'Adapter'],
  ['Adapter', '▁here'],
  ['▁here', ':'],
  ['▁tiny', '▁adapter'],
]

/** Pieces of a sentence. The first word of an answer has no space before it; the others carry theirs. */
function pieces(sentence: string, isFirst: boolean): string[] {
  return sentence
    .split(' ')
    .map((word, index) => (/^[.,:]$/.test(word) || (isFirst && index === 0) ? word : `▁${word}`))
}

/** Which piece follows which, and how often. Every answer begins after `<|assistant|>` and may end after a full stop. */
export function countTransitions(): ReadonlyMap<string, ReadonlyMap<string, number>> {
  const counts = new Map<string, Map<string, number>>()
  const add = (from: string, to: string, times: number) => {
    const followers = counts.get(from) ?? new Map<string, number>()
    followers.set(to, (followers.get(to) ?? 0) + times)
    counts.set(from, followers)
  }
  for (const sentence of SENTENCES) {
    for (const isFirst of [true, false]) {
      const list = pieces(sentence, isFirst)
      for (const [index, piece] of list.entries()) {
        const next = list[index + 1]
        if (next !== undefined) add(piece, next, 1)
      }
      const first = list[0]
      if (first !== undefined) add(isFirst ? '<|assistant|>' : '.', first, 1)
      if (first !== undefined && isFirst) add('<|end|>', first, 1)
      if (first !== undefined && !isFirst) add(':', first, 1)
    }
  }
  add('.', '<|end|>', 4)
  // The adapter's own words are known to the model but nothing leads to them without it.
  add('Adapter', '▁here', 1)
  add('▁here', ':', 1)
  for (const [to, times] of counts.get('▁model') ?? []) add('▁adapter', to, times)
  return counts
}
