import type { Clock } from '../../base/clock.ts'

/** The processes of a vLLM, which prefix each line of its log. */
export type LogSource = 'APIServer' | 'EngineCore_DP0' | `Worker_TP${number}`

/** One line in the format of vLLM's logger: level, `file.py:line`, text. */
export type SimLog = (
  level: 'INFO' | 'WARNING' | 'ERROR',
  at: string,
  text: string,
  source?: LogSource,
) => void

/** `write` gets whole lines. Nothing that is logged holds prompts or keys. */
export function vllmLog(write: (line: string) => void, clock: Pick<Clock, 'now'>, pid: number): SimLog {
  return (level, at, text, source = 'APIServer') => {
    const [date = '', time = ''] = new Date(clock.now()).toISOString().split('T')
    write(`(${source} pid=${pid}) ${level} ${date.slice(5)} ${time.slice(0, 8)} [${at}] ${text}\n`)
  }
}
