// Files and folders that are whole whatever happens while they are written.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { settleFolder, writeAtomic, writeFolderAtomic } from '../../lib/files/atomic.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-atomic-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const text = (...path: string[]) => readFileSync(join(folder, ...path), 'utf8');

describe('writeAtomic', () => {
  it('writes text, bytes and what a function writes', async () => {
    const path = join(folder, 'file');
    await writeAtomic(path, 'text');
    expect(text('file')).toBe('text');
    await writeAtomic(path, Uint8Array.of(104, 105));
    expect(text('file')).toBe('hi');
    await writeAtomic(path, async (write) => {
      await write('a');
      expect(text('file')).toBe('hi');
      await write(new Uint8Array(3_000_000).fill(98));
      await write('c');
    });
    expect(text('file')).toBe(`a${'b'.repeat(3_000_000)}c`);
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('keeps the old file when the writer fails', async () => {
    const path = join(folder, 'file');
    await writeAtomic(path, 'old');
    const failing = writeAtomic(path, async (write) => {
      await write('half');
      throw new Error('no more');
    });
    await expect(failing).rejects.toThrow('no more');
    expect(text('file')).toBe('old');
    expect(readdirSync(folder)).toEqual(['file']);
  });

  it('names the file that it can not write', async () => {
    const path = join(folder, 'absent', 'file');
    await expect(writeAtomic(path, 'x')).rejects.toThrow(new Error(`${path}: no such file or folder`));
  });
});

describe('writeFolderAtomic', () => {
  const fill = (content: string) => async (path: string) => {
    mkdirSync(join(path, 'inner'));
    await writeFile(join(path, 'inner', 'file'), content);
  };

  it('makes a folder and its parents, and replaces it whole', async () => {
    const path = join(folder, 'deep', 'target');
    await writeFolderAtomic(path, fill('1'));
    writeFileSync(join(path, 'extra'), 'x');
    await writeFolderAtomic(`${path}/`, fill('2'));
    expect(text('deep', 'target', 'inner', 'file')).toBe('2');
    expect(readdirSync(path)).toEqual(['inner']);
    expect(readdirSync(join(folder, 'deep'))).toEqual(['target']);
  });

  it('keeps the old folder when filling fails', async () => {
    const path = join(folder, 'target');
    await writeFolderAtomic(path, fill('old'));
    await expect(writeFolderAtomic(path, () => Promise.reject(new Error('no more')))).rejects.toThrow('no more');
    expect(text('target', 'inner', 'file')).toBe('old');
    expect(readdirSync(folder)).toEqual(['target']);
  });

  it('does not replace a file', async () => {
    const path = join(folder, 'target');
    writeFileSync(path, 'x');
    await expect(writeFolderAtomic(path, fill('1'))).rejects.toThrow(`${path}: is a file, not a folder`);
    expect(text('target')).toBe('x');
  });

  it('takes calls for one folder in turn', async () => {
    const path = join(folder, 'target');
    await Promise.all([...'12345'].map((content) => writeFolderAtomic(path, fill(content))));
    expect(text('target', 'inner', 'file')).toBe('5');
    expect(readdirSync(folder)).toEqual(['target']);
  });
});

// Each state that a crash can leave, made by hand: what is in place, what lies beside it, and what must come of it. Where
// a folder is in place, what lies beside it may belong to another process, which is replacing it.
describe('settleFolder', () => {
  const place = (name: string, content: string) => {
    mkdirSync(join(folder, name));
    writeFileSync(join(folder, name, 'file'), content);
  };
  const states: [what: string, present: Record<string, string>, result: string | undefined, left: string[]][] = [
    ['nothing', {}, undefined, []],
    ['before the first rename', { target: 'old', '.target.new': 'new' }, 'old', ['.target.new', 'target']],
    ['between the renames', { '.target.old': 'old', '.target.new': 'new' }, 'new', ['.target.old', 'target']],
    ['after the second rename', { target: 'new', '.target.old': 'old' }, 'new', ['.target.old', 'target']],
    ['with the old one only', { '.target.old': 'old' }, 'old', ['target']],
  ];
  for (const [what, present, result, left] of states) {
    it(`settles a crash ${what}`, async () => {
      for (const [name, content] of Object.entries(present)) place(name, content);
      await settleFolder(join(folder, 'target'));
      expect(readdirSync(folder).sort()).toEqual(left);
      if (result !== undefined) expect(text('target', 'file')).toBe(result);
      await writeFolderAtomic(join(folder, 'target'), async () => {});
      expect(readdirSync(folder), 'after the next write').toEqual(['target']);
    });
  }

  it('is done by the next write too', async () => {
    place('target', 'old');
    renameSync(join(folder, 'target'), join(folder, '.target.old'));
    let seen = false;
    await writeFolderAtomic(join(folder, 'target'), async () => {
      seen = existsSync(join(folder, 'target', 'file'));
    });
    expect(seen).toBe(true);
    expect(readdirSync(folder)).toEqual(['target']);
    expect(readdirSync(join(folder, 'target'))).toEqual([]);
  });
});
