import type { Command } from '../command.ts'

/** `yard chat [MODEL] [PROMPT]`. */
export const chat: Command = {
  path: ['chat'],
  summary: 'Talk to a model: a conversation at a terminal, one answer in a pipe',
  details:
    'Without a prompt, at a terminal, it is a conversation (type /? in it). With a prompt, or text on stdin, it writes one answer to stdout; stdin stands before the prompt.',
  arguments: [
    { syntax: '[model]', summary: 'name of the model; the only loaded one when left out' },
    { syntax: '[prompt...]', summary: 'what to say' },
  ],
  options: [
    { flags: '-s, --system <text>', summary: 'system message' },
    { flags: '--temperature <number>', summary: '0 always takes the likeliest word' },
    { flags: '--max-tokens <count>', summary: 'longest answer' },
    { flags: '--seed <number>', summary: 'same seed, same answer' },
    { flags: '--stats', summary: 'times and tokens on stderr' },
    { flags: '--no-history', summary: 'keep no record of what was typed' },
  ],
  examples: [
    { line: 'yard chat tiny', does: 'a conversation' },
    { line: 'yard chat tiny "What is a rail yard?"', does: 'one answer' },
    { line: 'cat notes.txt | yard chat tiny "Summarise this"', does: 'text from a pipe before the prompt' },
  ],
  async run(invocation) {
    const { runChat } = await import('../chat-session.ts')
    return runChat(invocation)
  },
}
