// Shortages: failures that pass once the machine has room on its disk, descriptors or memory again.

const words: Readonly<Record<string, string>> = {
  ENOSPC: 'no space left on the device',
  EDQUOT: 'the disk quota is used up',
  EMFILE: 'the process has too many open files',
  ENFILE: 'the machine has too many open files',
  ENOMEM: 'the machine has no memory left',
};

/** What ran out, in words, where a shortage is what an error comes from; undefined for other errors. */
export function shortageIn(error: unknown): string | undefined {
  const code = shortageCode(error);
  return code === undefined ? undefined : words[code];
}

/** Whether it is room on the disk that ran out. */
export const isDiskFull = (error: unknown): boolean => ['ENOSPC', 'EDQUOT'].includes(shortageCode(error) ?? '');

function shortageCode(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  // A failed disposal carries the failure that came before it.
  const { code, cause, suppressed, error: later } = error as Error & Record<string, unknown>;
  if (typeof code === 'string' && code in words) return code;
  return shortageCode(cause) ?? shortageCode(suppressed) ?? shortageCode(later);
}
