// Waiting for what happens some time: however slow the machine is, a test waits as long as it may take itself.
import { vi } from 'vitest';

/** Resolves once `condition` holds. */
export async function until(condition: () => unknown): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 2));
}

/** What `check` gives once it throws no more; rejects with its last error shortly before a test's usual time is over. */
export const eventually = <T>(check: () => T | Promise<T>): Promise<T> =>
  vi.waitFor(check, { timeout: 290_000, interval: 10 });
