// Processor time, for tests of how much something computes. Other processes make the clock run on, but not this; and how
// fast the processor is shows in the reference, which is measured in turns with what is tested.

/** Milliseconds that this process has computed, on all its threads. */
export function processed(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The longest that this process computed between two turns of the event loop while `work` ran, in milliseconds. */
export async function longestStretch(work: () => Promise<unknown>): Promise<number> {
  let longest = 0;
  let last = processed();
  const look = (): void => {
    const now = processed();
    longest = Math.max(longest, now - last);
    last = now;
  };
  const beat = setInterval(look, 1);
  try {
    await work();
    look();
  } finally {
    clearInterval(beat);
  }
  return longest;
}

/** How many times what `reference` computes `work` computes: of each the least of `rounds`, which take turns. */
export async function timesAsMuch(work: () => unknown, reference: () => unknown, rounds = 5): Promise<number> {
  const measured = async (what: () => unknown): Promise<number> => {
    const before = processed();
    await what();
    return processed() - before;
  };
  let [most, least] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0; round < rounds; round++) {
    least = Math.min(least, await measured(reference));
    most = Math.min(most, await measured(work));
  }
  return most / least;
}
