// The package in a CommonJS project: its types compile, its modules load, and each entry has both. Skipped where dist/ is
// not built.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'helvetia-commonjs-'));

interface Package {
  types: string;
  typesVersions: Record<string, Record<string, string[]>>;
  exports: Record<string, string | Record<string, { types: string; default: string }>>;
}
const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package;

const app = `
import { loadModel, type Model } from 'helvetia';
import { createServer } from 'helvetia/server';
import { tensor } from 'helvetia/tensor';
import { helvetia } from 'helvetia/ai-sdk';

export async function start(): Promise<Model> {
  const model = await loadModel('models/helvetia-small');
  createServer({ models: [model] });
  tensor([1]);
  helvetia(model);
  return model;
}
`;

function run(command: string, args: readonly string[]): string {
  const { stdout, stderr } = spawnSync(command, args, { cwd: folder, encoding: 'utf8' });
  return stdout + stderr;
}

describe.skipIf(!existsSync(join(root, 'dist/commonjs')))('a CommonJS project', () => {
  beforeAll(() => {
    mkdirSync(join(folder, 'node_modules/@types'), { recursive: true });
    symlinkSync(root, join(folder, 'node_modules/helvetia'));
    symlinkSync(join(root, 'node_modules/@types/node'), join(folder, 'node_modules/@types/node'));
    writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true, "type": "commonjs" }');
    writeFileSync(join(folder, 'app.ts'), app);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it.each(['true', 'false'])('compiles against all entries (skipLibCheck %s)', (skip) => {
    const compiler = join(root, 'node_modules/typescript/bin/tsc');
    const options = [
      '--module',
      'node16',
      '--target',
      'es2022',
      '--lib',
      'es2022,esnext.disposable',
      '--types',
      'node',
    ];
    expect(
      run(process.execPath, [compiler, 'app.ts', '--noEmit', '--strict', ...options, '--skipLibCheck', skip]),
    ).toBe('');
  });

  it('loads all entries, whose types are where package.json says, also for resolvers that know no exports', () => {
    const entries = Object.keys(manifest.exports).filter((entry) => entry !== './package.json');
    const kinds = entries.map((entry) => `typeof require('helvetia${entry.slice(1)}')`);
    expect(run(process.execPath, ['-p', kinds.join('+" "+')]).trim()).toBe(entries.map(() => 'object').join(' '));
    for (const entry of entries) {
      const { require: required } = manifest.exports[entry] as Record<string, { types: string }>;
      const name = entry.slice(2);
      const old = name === '' ? manifest.types : manifest.typesVersions['*']![name]![0];
      expect(old, entry).toBe(required!.types);
      expect(existsSync(join(root, required!.types)), entry).toBe(true);
    }
  });
});
