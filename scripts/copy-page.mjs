// Puts the files of the server's page beside its compiled code, which reads them from there.
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');
const target = join(root, 'dist', 'lib', 'server', 'page');

rmSync(target, { recursive: true, force: true });
cpSync(join(root, 'lib', 'server', 'page'), target, { recursive: true });
