/**
 * Text that somebody else wrote (a model, an engine, a node), as a terminal may show it: without the sequences that
 * move the cursor, change the title or the clipboard, or hide what is written. Line ends and tabs stay.
 */
export function terminalText(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
      .replace(/\u001b\[[0-9;?]{0,20}[ -/]{0,5}[@-~]|\u001b\][^\u0007\u001b]{0,1000}(?:\u0007|\u001b\\)/g, '')
      .replace(/\r\n/g, '\n')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: removing them is the purpose
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
  )
}
