// Abort signals that outlive what they end.

/**
 * Calls `abort` with the reason of the first of `signals` that aborts, at once if one has. The result takes the listeners
 * off. AbortSignal.any would not do: a signal that lives as long as the process would keep every signal made of it.
 */
export function onAbort(signals: readonly (AbortSignal | undefined)[], abort: (reason: unknown) => void): () => void {
  const given = signals.filter((signal) => signal !== undefined);
  const listener = (): void => {
    release();
    abort(given.find(({ aborted }) => aborted)!.reason);
  };
  const release = (): void => {
    for (const signal of given) signal.removeEventListener('abort', listener);
  };
  if (given.some(({ aborted }) => aborted)) listener();
  else for (const signal of given) signal.addEventListener('abort', listener);
  return release;
}
