// The package inside a bundle, where its addon cannot be found: the error says what to do. Skipped where dist/ is not built.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'helvetia-bundle-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Bundler {
  build(options: object): Promise<unknown>;
}

it.skipIf(!existsSync(join(root, 'dist')))('a bundle says to leave the package out of it', async () => {
  // Vitest's own bundler, which is no dependency of the project.
  const { build } = (await import('rolldown' as string)) as Bundler;
  for (const [entry, format] of [
    ['index', 'esm'],
    ['server/index', 'esm'],
    ['server/index', 'cjs'],
  ] as const) {
    const file = join(folder, `out.${format === 'cjs' ? 'cjs' : 'mjs'}`);
    const external = [/^node:/, ...builtinModules];
    await build({
      input: join(root, `dist/lib/${entry}.js`),
      platform: 'node',
      external,
      logLevel: 'silent',
      output: { file, format, codeSplitting: false },
    });
    const { stderr, status } = spawnSync(process.execPath, [file], { encoding: 'utf8' });
    expect(status, format).toBe(1);
    expect(stderr).toContain("serverExternalPackages: ['helvetia']");
  }
});
