// Keeps the laws of the layout: who may include or import whom, one declaration per kernel, and small files.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { blockDTypes, dtypes } from '../lib/formats/index.js';
import { architectures } from '../lib/models/architectures/index.js';
import { dialects } from '../lib/text/calls/dialects/index.js';
import { figuresOf, methodNames, methods, optionsOf } from '../lib/train/methods/index.js';

const root = join(import.meta.dirname, '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');

function files(folder: string, extension: RegExp): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && extension.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .sort();
}

const native = files('native', /\.(h|cc|cu|cuh)$/);
const lib = files('lib', /\.ts$/);
const tests = files('test', /\.ts$/);

/** The folders of lib/, lowest first. A file may import from its own folder and from lower ones. */
const rooms: readonly (readonly string[])[] = [
  ['formats'],
  ['core', 'flow'],
  ['files'],
  ['ops'],
  ['parts'],
  ['lora'],
  ['models'],
  ['text'],
  ['engine'],
  ['train'],
  ['store'],
  ['model', 'check'],
  ['server', 'ai-sdk'],
  ['bench', 'index', 'tensor-api'],
  ['cli'],
];

const roomOf = (file: string): number => {
  const name = file.split('/')[1]!.replace(/\.ts$/, '');
  return rooms.findIndex((room) => room.includes(name));
};

describe('lib', () => {
  it.each(lib)('%s imports only from its own room and lower ones', (file) => {
    const own = roomOf(file);
    expect(own, `${file} is in no room of the layout`).toBeGreaterThanOrEqual(0);
    for (const [, target] of read(file).matchAll(/from '(\.[^']+)'/g)) {
      const imported = join(file, '..', target!).replace(/\.js$/, '.ts');
      expect(existsSync(join(root, imported)), `${file} imports ${imported}`).toBe(true);
      expect(roomOf(imported), `${file} imports ${imported}`).toBeLessThanOrEqual(own);
    }
  });

  it('reads and writes files only where containers, models, adapters, runs and stores are', () => {
    const known =
      /^lib\/(store|files|lora|cli)\/|^lib\/(model|models\/load|text\/tokenizer\/tokenizer|server\/page)\.ts$|^lib\/train\/(checkpoint|report|options|data\/jsonl)\.ts$/;
    const others = lib.filter((file) => !known.test(file) && /from 'node:fs/.test(read(file)));
    expect(others).toEqual([]);
  });

  it('names a store in its own file and where servers are made: the rest has the contract', () => {
    const others = lib.filter((file) => !/^lib\/store\/folder/.test(file) && /\/store\/folder/.test(read(file)));
    expect(others).toEqual(['lib/server/server.ts']);
    const imported = lib
      .filter((file) => file.startsWith('lib/store/'))
      .flatMap((file) => [...read(file).matchAll(/from '\.\.\/(\w+)\//g)].map(([, room]) => room));
    expect([...new Set(imported)].sort()).toEqual(['files', 'flow']);
  });

  it('has no circle of imports, those of types included, but the one of tensors, their scopes and their gradients', () => {
    const imports = new Map(
      lib.map((file) => [
        file,
        [...read(file).matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map(([, target]) =>
          join(file, '..', target!).replace(/\.js$/, '.ts'),
        ),
      ]),
    );
    const one = ['lib/core/autograd.ts', 'lib/core/scope.ts', 'lib/core/tensor.ts'];
    const done = new Set<string>();
    const circles: string[] = [];
    const walk = (file: string, way: readonly string[]): void => {
      const at = way.indexOf(file);
      const circle = way.slice(at);
      if (at >= 0 && !circle.every((member) => one.includes(member))) circles.push([...circle, file].join(' → '));
      if (at >= 0 || done.has(file)) return;
      for (const target of imports.get(file) ?? []) walk(target, [...way, file]);
      done.add(file);
    };
    for (const file of lib) walk(file, []);
    expect(circles).toEqual([]);
  });

  it('knows the addon only through lib/core/native.ts', () => {
    const others = lib.filter((file) => file !== 'lib/core/native.ts' && /node-gyp-build|\.node'/.test(read(file)));
    expect(others).toEqual([]);
  });
});

describe('an architecture', () => {
  const folder = 'lib/models/architectures/';
  const names = [...new Set(architectures.flatMap(({ types, gguf }) => [...types, ...gguf.map(({ name }) => name)]))];

  it.each(names)('%s is named in one file', (name) => {
    const spelled = new RegExp(`'${name}'`);
    const own = lib.filter((file) => file.startsWith(folder) && spelled.test(read(file)));
    expect(own).toHaveLength(1);
    // Shapes to be timed are config.json files, written out; GGUF files name kinds of tokenizers and word patterns by models.
    const data = /^lib\/(bench\/shapes|text\/tokenizer)\//;
    const others = lib.filter((file) => !own.includes(file) && !data.test(file));
    expect(others.filter((file) => spelled.test(read(file)))).toEqual([]);
  });

  it('is a file of the catalogue', () => {
    const catalogue = read(`${folder}index.ts`);
    for (const file of lib.filter((file) => file.startsWith(folder) && !file.endsWith('/index.ts')))
      expect(catalogue).toContain(`from './${file.slice(folder.length, -3)}.js'`);
  });
});

describe('formats', () => {
  const isOf = (folder: string, file: string): boolean => file.startsWith(`${folder}/formats/`);

  it('of blocks are named only where they are declared', () => {
    const names = new RegExp(`\\b(${blockDTypes.join('|')})\\b`);
    const code = (file: string): string => read(file).replace(/\/\*[\s\S]*?\*\/|\/\/.*/g, '');
    expect(lib.filter((file) => !isOf('lib', file) && names.test(code(file)))).toEqual([]);
    expect(native.filter((file) => !isOf('native', file) && names.test(code(file)))).toEqual([]);
  });

  it('of tensors are declared under one stem in lib and native', () => {
    const declared = (file: string): string[] =>
      [...read(file).matchAll(/\bFORMAT\((\w+)/g)]
        .map(([, name]) => name!)
        .map((name) => (name === 'boolean' ? 'bool' : name));
    const families = native.filter((file) => isOf('native', file) && declared(file).length > 0);
    expect(families.flatMap(declared).sort()).toEqual([...dtypes].sort());
    for (const file of families) {
      const family = read(`lib/formats/${basename(file, '.h')}.ts`);
      for (const name of declared(file)) expect(family, name).toMatch(new RegExp(`^ {2}${name}: `, 'm'));
    }
  });
});

describe('a training method', () => {
  const catalogue = 'lib/train/methods/index.ts';
  const above = files('lib', /\.(ts|mjs|html)$/).filter((file) => roomOf(file) >= roomOf(catalogue));
  // Also an option of every run.
  const shared = ['tokenAccuracy'];

  it.each(methodNames)(
    '%s is named in its own files and the catalogue alone, and so are its options and figures',
    (name) => {
      const ownFile = new RegExp(`^lib/train/methods/${name}(-\\w+)*\\.ts$`);
      const others = above.filter((file) => file !== catalogue && !ownFile.test(file));
      const words = [
        name,
        ...optionsOf(methods[name]).flatMap(([option, { wire }]) => [option, wire?.name ?? option]),
        ...figuresOf(methods[name]).flatMap(([figure, { wire }]) => [figure, wire.name]),
      ].filter((word) => !shared.includes(word));
      const spoken = new RegExp(`\\b(${words.join('|')})\\b`);
      expect(above.filter((file) => ownFile.test(file))).toContain(`lib/train/methods/${name}.ts`);
      expect(others.filter((file) => spoken.test(read(file)))).toEqual([]);
    },
  );
});

describe('a dialect of calls', () => {
  const folder = 'lib/text/calls/dialects';
  const fileOf = (name: string): string => `${folder}/${name}.ts`;
  const others = (own: readonly string[]): string[] => lib.filter((file) => !own.includes(file));

  it('is a file of the catalogue', () => {
    const members = lib.filter((file) => file.startsWith(folder) && !/\/(dialect|index)\.ts$/.test(file));
    expect(dialects.map(({ name }) => fileOf(name)).sort()).toEqual(members);
  });

  it.each(dialects.map(({ name }) => name))('%s is named in its own file and in the catalogue only', (name) => {
    const identifier = name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase());
    const mention = new RegExp(`\\b(${name}|${identifier})\\b`, 'i');
    const known = others([fileOf(name), `${folder}/index.ts`]).filter((file) => mention.test(read(file)));
    expect(known).toEqual([]);
  });

  it.each([...new Set(dialects.flatMap(({ marks, openings }) => [...marks, ...openings]))])(
    '%s is written in the dialects that have it only',
    (markup) => {
      const own = dialects.filter(({ marks, openings }) => [...marks, ...openings].includes(markup));
      const known = others(own.map(({ name }) => fileOf(name))).filter((file) => read(file).includes(markup));
      // A family's reasoning has the same control tokens, and GGUF files do not say which of them end a turn.
      const isOfTokens = (file: string): boolean =>
        file.startsWith('lib/text/reasoning/forms/') || file === 'lib/text/tokenizer/gguf-tokenizer.ts';
      expect(known.filter((file) => !isOfTokens(file))).toEqual([]);
    },
  );
});

describe('native', () => {
  it('knows Node only in native/binding', () => {
    expect(native.filter((file) => !file.startsWith('native/binding/') && /napi|node_api/.test(read(file)))).toEqual(
      [],
    );
  });

  it('knows CUDA only in native/cuda, and in native/simt, which is a GPU', () => {
    expect(
      native.filter(
        (file) => !/^native\/(cuda|simt)\//.test(file) && /#include.*cuda(_runtime)?\.h|cuda_runtime/.test(read(file)),
      ),
    ).toEqual([]);
  });

  it('writes instructions, launches and shared memory in one place each', () => {
    const sources = native.filter((file) => file.startsWith('native/cuda/'));
    const instructions = /\/(ptx|hopper|tf32|wgmma)\.cuh$/;
    expect(sources.filter((file) => !instructions.test(file) && /\basm\b|__shared__/.test(read(file)))).toEqual([]);
    expect(sources.filter((file) => /<<</.test(read(file)))).toEqual([]);
  });

  it('keeps the two devices apart', () => {
    const crossing = (folder: string, others: RegExp): string[] =>
      native
        .filter((file) => file.startsWith(folder) && !file.includes('/selftest/'))
        .filter((file) =>
          [...read(file).matchAll(/#include "([^"]+)"/g)].some(([, to]) => others.test(join(file, '..', to!))),
        );
    expect(crossing('native/cpu/', /^native\/(cuda|binding)\//)).toEqual([]);
    expect(crossing('native/cuda/', /^native\/(cpu|binding)\//)).toEqual([]);
    expect(crossing('native/simt/', /^native\/(cpu|cuda|binding)\//)).toEqual([]);
  });

  it('has no two CUDA sources of one name, which tables of registers and emulated sources go by', () => {
    const names = native.filter((file) => file.endsWith('.cu')).map((file) => basename(file));
    expect(new Set(names).size).toBe(names.length);
  });

  it('keeps folders small enough to be read at a glance', () => {
    const crowd = new Map<string, number>();
    for (const file of native) crowd.set(dirname(file), (crowd.get(dirname(file)) ?? 0) + 1);
    expect([...crowd].filter(([, count]) => count > 25)).toEqual([]);
  });

  it('has no kernel that could end the process', () => {
    expect(native.filter((file) => /\b(abort|exit|assert)\s*\(/.test(read(file)))).toEqual([]);
  });
});

describe('kernels', () => {
  const families = files('native/kernels', /\.h$/).map((file) => basename(file, '.h'));
  const lists = families.flatMap((family) => [
    ...read(`native/kernels/${family}.h`).matchAll(/^ {2}KERNEL\((\w+), (.*?)\)\s*\\?$/gm),
  ]);
  const declared = new Map(lists.map(([, name, list]) => [name!, list!.split(',').length]));
  const typed = new Map(
    [...read('lib/core/native.ts').matchAll(/^ {2}(\w+)\((.*)\): void;$/gm)].map(
      ([, name, list]) => [name!, list!.split(',').length] as const,
    ),
  );
  const written = files('native/cpu', /\.cc$/).map(read).join('\n');

  it('are declared, each once', () => {
    expect(declared.size).toBeGreaterThan(60);
    expect(lists.length).toBe(declared.size);
  });

  it('are listed in families, each of which has a header and a file of its name on both devices', () => {
    const listed = [...read('native/families.h').matchAll(/\bFAMILY\((\w+)\)/g)].map(([, family]) => family!);
    expect(listed.sort()).toEqual(families);
    const included = [...read('native/kernels.h').matchAll(/#include "kernels\/(\w+)\.h"/g)].map(([, name]) => name!);
    expect(included.sort()).toEqual(families);
    for (const family of families) {
      const own = native.filter((file) => new RegExp(`/(cpu|cuda)/(.*/)?${family}\\.(cc|cu)$`).test(file));
      expect(own, family).toHaveLength(2);
    }
  });

  it('are included a family at a time, so that a new one costs seconds', () => {
    const all = native.filter((file) => /#include ".*\bkernels\.h"/.test(read(file)));
    expect(all).toEqual(['native/cpu/table.cc', 'native/cuda/device/absent.cc']);
  });

  it.each([...declared])('%s has its line in lib/core/native.ts, with %d arguments', (name, count) => {
    expect(typed.get(name)).toBe(count);
  });

  it('have a caller in lib', () => {
    const callers = lib
      .filter((file) => file !== 'lib/core/native.ts')
      .map(read)
      .join('\n');
    // Members of a family are also called by name through a table: kernels[name].
    const unused = [...declared.keys()].filter((name) => !new RegExp(`kernels\\.${name}\\b|'${name}'`).test(callers));
    expect(unused).toEqual([]);
  });

  it('have no stand-ins left', () => {
    expect(written).not.toMatch(/__attribute__\(\(weak\)\)/);
  });
});

describe('files', () => {
  it('lie in folders of at most 25', () => {
    const counts = new Map<string, number>();
    for (const file of [...native, ...lib]) counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1);
    expect([...counts].filter(([, count]) => count > 25)).toEqual([]);
  });

  const own = [...native, ...lib, ...tests, ...files('scripts', /\.(ts|mjs)$/)];

  it.each(own)('%s opens with a comment and is one idea long', (file) => {
    const text = read(file);
    expect(
      text.replace(/^#!.*\n/, '').startsWith('//') || text.startsWith('/*'),
      'the first line says what the file is',
    ).toBe(true);
    expect(text.split('\n').length).toBeLessThanOrEqual(450);
  });

  it('have names that say what they hold', () => {
    const vague = own.filter((file) => /^(utils?|helpers?|common|manager|base|misc)\b/.test(basename(file)));
    expect(vague).toEqual([]);
  });

  it('hold each family under one stem', () => {
    const families = files('lib/ops', /\.ts$/)
      .map((file) => basename(file, '.ts'))
      .filter((stem) => !['checks', 'sequences'].includes(stem));
    for (const stem of families) {
      expect(existsSync(join(root, `test/ops/${stem}.test.ts`)), `test/ops/${stem}.test.ts`).toBe(true);
    }
  });
});
