/** Carries out a change, shows how it went and which command does the same; true when it was accepted. */
export type Act = (command: string, action: () => Promise<unknown>) => Promise<boolean>
