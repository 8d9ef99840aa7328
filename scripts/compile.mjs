// lib/ and scripts/ compiled into an empty dist/, so that nothing stays of files that are gone, and the server's page put
// beside its compiled code, which reads it from there.
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

rmSync(join(root, 'dist'), { recursive: true, force: true });
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(1);
cpSync(join(root, 'lib', 'server', 'page'), join(root, 'dist', 'lib', 'server', 'page'), { recursive: true });
