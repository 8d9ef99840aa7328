// Logs: one event and its fields at a time, prompts' texts only with `logText`.

export type Fields = Readonly<Record<string, unknown>>;

/** pino's order, so that a pino logger fits as it is. */
export interface Logger {
  info(fields: Fields, event: string): void;
  warn(fields: Fields, event: string): void;
  error(fields: Fields, event: string): void;
}

/** Writes JSON lines. Lines that cannot be written, on a full disk or to a reader that is gone, are lost. */
export function jsonLogger(out: Pick<NodeJS.WritableStream, 'write' | 'on'> = process.stderr): Logger {
  out.on('error', () => {});
  const at = (level: string) => (fields: Fields, event: string) => {
    out.write(`${JSON.stringify({ time: new Date().toISOString(), level, event, ...fields })}\n`);
  };
  return { info: at('info'), warn: at('warn'), error: at('error') };
}
