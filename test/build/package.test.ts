// The package as others get it: packed, unpacked into an empty project, and its addon made in each of the three ways,
// by cmake-js at the install, by node-gyp, and by prebuildify for a machine without a compiler. Each loads and gives the
// clone's own answer. Objects that this clone has compiled already are not compiled again (reuse.mjs).
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '../..');
const folder = mkdtempSync(join(tmpdir(), 'helvetia-package-'));
const minutes = 60_000;

/** An environment without what npm and vitest put into ours, where nothing can be downloaded. */
function environment(more: Record<string, string> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(npm_|VITEST|NODE_|HELVETIA_|PREBUILD_)/i.test(name));
  return {
    ...Object.fromEntries(kept),
    HOME: join(folder, 'home'),
    npm_config_offline: 'true',
    NVM_NODEJS_ORG_MIRROR: 'http://127.0.0.1:9',
    HELVETIA_CUDA: 'off',
    ...more,
  };
}

/** Compiles by way of reuse.mjs in a copy of the package at `to`; what it did is in `reuse.log` there. */
const reusing = (to: string): Record<string, string> => ({
  CMAKE_CXX_COMPILER_LAUNCHER: `${process.execPath};${join(import.meta.dirname, 'reuse.mjs')}`,
  REUSE_FROM: root,
  REUSE_TO: to,
  REUSE_LOG: join(to, 'reuse.log'),
});

function run(command: string, args: readonly string[], cwd: string, env: Record<string, string> = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, env: environment(env), encoding: 'utf8' });
  if (error) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  return stdout + stderr;
}

/**
 * Links the package's dependencies beside the projects, where Node finds them from inside each. npm does not look there:
 * it would follow links of the project itself back to the clone, which it would rebuild too where that has the package's
 * name.
 */
function linkDependencies(): void {
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package;
  for (const dependency of Object.keys(dependencies)) {
    const link = join(folder, 'node_modules', dependency);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, 'node_modules', dependency), link);
  }
}

/** Packs `from` and unpacks it into a project that has nothing else; where the package is there. */
function installed(name: string, from: string): string {
  const project = join(folder, name);
  const modules = join(project, 'node_modules');
  mkdirSync(modules, { recursive: true });
  // Without prepack: dist is there, and other tests read it.
  run('npm', ['pack', '--ignore-scripts', '--pack-destination', project], from);
  const tarball = readdirSync(project).find((file) => file.endsWith('.tgz'))!;
  run('tar', ['-xzf', join(project, tarball), '-C', modules], project);
  renameSync(join(modules, 'package'), join(modules, 'helvetia'));
  writeFileSync(join(project, 'package.json'), '{ "name": "project", "dependencies": { "helvetia": "*" } }');
  return join(modules, 'helvetia');
}

interface Package {
  dependencies: Record<string, string>;
}

const script = `
import { loadModel } from 'helvetia';
import { createRequire } from 'node:module';
const model = await loadModel('MODEL', { device: 'cpu' });
const { tokens } = await model.generate('Once upon a time', { maxNewTokens: 12, temperature: 0 });
console.log(JSON.stringify({ tokens, addon: createRequire(import.meta.url)('node-gyp-build').path('PACKAGE') }));
`;

/** What the package answers in a process of its own, and which addon it loaded, from the package's root. */
function answer(where: string): { tokens: number[]; addon: string } {
  const text = script.replace('MODEL', join(where, 'models/helvetia-small')).replace('PACKAGE', where);
  const project = where === root ? root : join(where, '../..');
  const said = run(process.execPath, ['--input-type=module', '-e', text], project);
  const { tokens, addon } = JSON.parse(said.trim().split('\n').at(-1)!) as { tokens: number[]; addon: string };
  return { tokens, addon: addon.slice(where.length + 1) };
}

function reused(where: string): { copied: number; compiled: number } {
  const lines = readFileSync(join(where, 'reuse.log'), 'utf8').trim().split('\n');
  const copied = lines.filter((line) => line.startsWith('copied')).length;
  return { copied, compiled: lines.length - copied };
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the addon of a packed package', () => {
  let where: string;
  let expected: number[];

  beforeAll(() => {
    mkdirSync(join(folder, 'home'));
    linkDependencies();
    where = installed('from-source', root);
    expected = answer(root).tokens;
    expect(expected.length).toBeGreaterThan(0);
  }, 5 * minutes);

  it(
    'is built by cmake-js where npm installs it and no prebuilt one loads, of packages only',
    () => {
      expect(existsSync(join(where, 'build'))).toBe(false);
      run('npm', ['rebuild', 'helvetia', '--foreground-scripts'], join(where, '../..'), reusing(where));
      expect(answer(where)).toEqual({ tokens: expected, addon: 'build/Release/helvetia.node' });
      const cache = readFileSync(join(where, 'build/cmake/CMakeCache.txt'), 'utf8');
      expect(cache).toMatch(/^CMAKE_JS_VERSION:\w+=8\./m);
      expect(cache).toMatch(/^CMAKE_JS_INC:\w+=.*node-api-headers\/include;.*node-addon-api/m);
      // Downloaded headers would lie there.
      expect(existsSync(join(folder, 'home/.cmake-js'))).toBe(false);
      // The stand-in for CUDA is compiled where the clone has nvcc. A clone that was not built has nothing to copy.
      const { copied, compiled } = reused(where);
      if (existsSync(join(root, 'build/cmake/compile_commands.json'))) expect(copied).toBeGreaterThan(10 * compiled);
    },
    20 * minutes,
  );

  it(
    'is built once: a second build finds nothing to do',
    () => {
      const file = join(where, 'build/Release/helvetia.node');
      const { mtimeMs } = statSync(file);
      run('npm', ['run', 'build:native'], where, reusing(where));
      expect(statSync(file).mtimeMs).toBe(mtimeMs);
    },
    5 * minutes,
  );

  it(
    'is built by node-gyp rebuild',
    ({ skip }) => {
      const nodeGyp = join(run('npm', ['root', '-g'], root).trim(), 'npm/node_modules/node-gyp/bin/node-gyp.js');
      skip(!existsSync(nodeGyp), 'skipped: npm has no node-gyp here');
      skip(spawnSync('python3', ['--version']).status !== 0, 'skipped: node-gyp needs Python');
      // Node's own headers lie beside it in most installations; node-gyp would download them otherwise.
      const prefix = join(dirname(process.execPath), '..');
      skip(!existsSync(join(prefix, 'include/node/common.gypi')), "skipped: node-gyp would download Node's headers");
      rmSync(join(where, 'build'), { recursive: true });
      run(process.execPath, [nodeGyp, 'rebuild', `--nodedir=${prefix}`], where, reusing(where));
      expect(answer(where)).toEqual({ tokens: expected, addon: 'build/Release/helvetia.node' });
    },
    20 * minutes,
  );

  it(
    'is prebuilt by prebuildify, and then an install needs no compiler',
    () => {
      // What makes a release is not part of it.
      copyFileSync(join(root, 'scripts/prebuild.mjs'), join(where, 'scripts/prebuild.mjs'));
      symlinkSync(join(root, 'node_modules/prebuildify'), join(where, '../prebuildify'));
      run(process.execPath, ['scripts/prebuild.mjs'], where, reusing(where));
      const name = process.platform === 'linux' ? 'helvetia.glibc.node' : 'helvetia.node';
      const addon = join('prebuilds', `${process.platform}-${process.arch}`, name);
      expect(existsSync(join(where, addon))).toBe(true);

      const user = installed('prebuilt', where);
      expect(existsSync(join(user, 'build'))).toBe(false);
      run('npm', ['rebuild', 'helvetia', '--foreground-scripts'], join(user, '../..'));
      expect(existsSync(join(user, 'build'))).toBe(false);
      expect(answer(user)).toEqual({ tokens: expected, addon });
    },
    20 * minutes,
  );
});
