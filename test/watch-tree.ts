// What is written below a folder, while it is written.
import { readdirSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';

/**
 * Tells each path below `root` that appears or is written to from now on. `watch({ recursive: true })` throws where nobody can catch
 * it when a folder is renamed between its event and the look inside.
 */
export function watchTree(root: string, seen: (path: string) => void): { close(): void } {
  const watchers = new Map<string, ReturnType<typeof watch>>();
  let closed = false;
  const visit = (path: string, isNew: boolean) => {
    if (closed) return;
    try {
      if (!statSync(path).isDirectory() || watchers.has(path)) return;
      const watcher = watch(path, (_, name) => {
        if (name === null) return;
        seen(join(path, name));
        visit(join(path, name), true);
      });
      watchers.set(path, watcher);
      watcher.on('error', () => watcher.close());
      watcher.on('close', () => watchers.delete(path));
      for (const name of readdirSync(path)) {
        if (isNew) seen(join(path, name));
        visit(join(path, name), isNew);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  };
  visit(root, false);
  return {
    close() {
      closed = true;
      for (const watcher of [...watchers.values()]) watcher.close();
    },
  };
}
