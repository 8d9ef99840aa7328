// lib/ and scripts/ compiled into an empty dist/, so that nothing stays of files that are gone, the server's page put
// beside its compiled code, which reads it from there, and the declarations once more for CommonJS.
import { spawnSync } from 'node:child_process';
import { cpSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(import.meta.dirname, '..');

rmSync(join(root, 'dist'), { recursive: true, force: true });
const compiler = join(root, 'node_modules', 'typescript', 'bin', 'tsc');
const { status } = spawnSync(process.execPath, [compiler, '-p', join(root, 'tsconfig.build.json')], {
  stdio: 'inherit',
});
if (status !== 0) process.exit(1);
cpSync(join(root, 'lib', 'server', 'page'), join(root, 'dist', 'lib', 'server', 'page'), { recursive: true });

// TypeScript refuses a package's ES module in a CommonJS file, though Node.js loads it there: in a folder that says
// "commonjs", the same declarations are those of CommonJS modules.
const commonjs = join(root, 'dist', 'commonjs');
const isDeclaration = (path) => path.endsWith('.d.ts') || statSync(path).isDirectory();
cpSync(join(root, 'dist', 'lib'), commonjs, { recursive: true, filter: isDeclaration });
writeFileSync(join(commonjs, 'package.json'), '{ "type": "commonjs" }\n');
