// The process's limit of file descriptors, which connections and files share.
import { readFileSync } from 'node:fs';

/** Descriptors that the process may have open; 1024, the usual limit, where the system does not say. */
export function mostDescriptors(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1];
    return limit === undefined ? 1024 : Number(limit);
  } catch {
    return 1024;
  }
}
