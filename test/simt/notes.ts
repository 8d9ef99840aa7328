// The notes of what was launched on the GPU in software: a file for each test file of each project, from its newest run.
import { join, relative } from 'node:path';

export const root = join(import.meta.dirname, '..', '..');

export const noteOf = (project: string, testFile: string): string =>
  join(root, 'build/simt/launches', project, `${relative(root, testFile).replaceAll(/[\\/]/g, '.')}.txt`);
