// docs/adding.md against the tree: the files that it names have its examples, and no others in lib and native do.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const root = join(import.meta.dirname, '..', '..');
const read = (file: string): string => readFileSync(join(root, file), 'utf8');
const page = read('docs/adding.md');

const sources = ['lib', 'native'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.(ts|mjs|h|cc|cu|cuh)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1)),
);

const sections = page
  .split(/^## /m)
  .slice(1)
  .map((text) => ({
    title: text.slice(0, text.indexOf('\n')),
    example: /^Example: `(\w+)`$/m.exec(text)?.[1],
    // The list of the section; paths outside it are advice.
    listed: [...(/^- [\s\S]*?(?=\n\n|$(?![\s\S]))/m.exec(text)?.[0] ?? '').matchAll(/`([\w./-]+\.\w+)`/g)].map(
      ([, path]) => path!,
    ),
    named: [...text.matchAll(/`((?:lib|native|test|docs|scripts)\/[\w./-]*)`/g)].map(([, path]) => path!),
  }));

describe('docs/adding.md', () => {
  it('has a section for every kind', () => {
    const kinds = [
      'op made',
      'op with',
      'part',
      'architecture',
      'format',
      'method',
      'dialect',
      'form of reasoning',
      'store',
      'endpoint',
      'metric',
    ];
    for (const kind of kinds) expect(sections.filter(({ title }) => title.includes(kind))).toHaveLength(1);
  });

  it.each(sections)('$title: $example is in the files that it lists and no others', ({ example, listed }) => {
    expect(example).toBeDefined();
    const mention = new RegExp(`\\b${example}\\b`);
    const own = listed.filter((path) => !path.endsWith('store/store.ts') && !path.startsWith('test/'));
    // Any architecture may have a part; the page names one.
    const isOfPart = own.some((path) => path.startsWith('lib/parts/'));
    const mayHave = (file: string): boolean => isOfPart && file.startsWith('lib/models/architectures/');
    const found = sources.filter((file) => mention.test(read(file)) && (own.includes(file) || !mayHave(file)));
    expect([...new Set(own)].sort()).toEqual(found.sort());
  });

  it.each(sections)('$title: every path exists', ({ named }) => {
    for (const path of named) expect(existsSync(join(root, path)), path).toBe(true);
  });
});
