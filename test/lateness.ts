// Measures how late a 5 ms timer fires while something runs, and how much of that other processes caused.
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';

export interface Lateness {
  /** The worst delay, in ms. */
  worst: number;
  /** The worst delay without the time in which this thread could have run but had no core. NaN where that isn't known. */
  worstOwn: number;
  /** The share of the machine that other processes used meanwhile. NaN where that isn't known. */
  others: number;
}

/** Until the promise of `work` settles. */
export async function lateness(work: () => PromiseLike<unknown>): Promise<Lateness> {
  let ended = false;
  const end = (): void => {
    ended = true;
  };
  const started = new Promise((resolve) => setImmediate(resolve)).then(work); // once the first timer runs
  started.then(end, end);
  const [busy, own, began] = [machineSeconds(), process.cpuUsage(), performance.now()];
  let worst = 0;
  let worstOwn = 0;
  while (!ended) {
    const [start, waited] = [performance.now(), waitingForCore()];
    await new Promise((resolve) => setTimeout(resolve, 5));
    const late = performance.now() - start - 5;
    worst = Math.max(worst, late);
    worstOwn = Math.max(worstOwn, late - (waitingForCore() - waited));
  }
  await started;
  const used = process.cpuUsage(own);
  const seconds = (performance.now() - began) / 1000;
  const others = (machineSeconds() - busy - (used.user + used.system) / 1e6) / (seconds * cpus().length);
  return { worst, worstOwn, others };
}

/**
 * The delay to judge by. A machine that other processes keep busy makes every timer late: there, only what this process
 * did to its own timer counts.
 */
export const judged = ({ worst, worstOwn, others }: Lateness): number => (others > 0.15 ? worstOwn : worst);

/** ms in which the main thread was ready to run and had no core (Linux). */
function waitingForCore(): number {
  try {
    return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8').split(' ')[1]) / 1e6;
  } catch {
    return Number.NaN;
  }
}

/** Seconds that all cores were busy (Linux). */
function machineSeconds(): number {
  try {
    const [, user, nice, system] = readFileSync('/proc/stat', 'utf8').split(/\s+/).map(Number);
    return (user! + nice! + system!) / 100;
  } catch {
    return Number.NaN;
  }
}
