// Where the package lies, and its version: the sources are in lib, the compiled files in dist/lib.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readJson } from './json.js';

let known: { root: string; version: string } | undefined;

/** @throws Error where the code is part of a bundle, which has no package.json of its own. */
export function packageFacts(): { root: string; version: string } {
  known ??= find();
  return known;
}

function find(): { root: string; version: string } {
  for (let folder = dirname(fileURLToPath(import.meta.url)); folder !== dirname(folder); folder = dirname(folder)) {
    const file = join(folder, 'package.json');
    if (!existsSync(file)) continue;
    const { name, version } = readJson(file);
    if (name === 'helvetia') return { root: folder, version: String(version) };
  }
  throw new Error('helvetia: its package.json was not found');
}
