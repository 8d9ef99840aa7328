// A Git LFS pointer in place of a model's file is called that, whatever the file should be; and files that a model's error
// is about are named.
import { cpSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { loadModel } from '../../lib/model.js';
import { tokenizerFromGguf } from '../../lib/text/tokenizer/gguf-tokenizer.js';

const small = join(import.meta.dirname, '../../models/helvetia-small');
const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 987654\n`;
const folder = mkdtempSync(join(tmpdir(), 'helvetia-pointer-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const files = readdirSync(small).filter((name) => /\.(json|safetensors)$/.test(name));

it.each(files)('in place of %s', async (name) => {
  const model = join(folder, name);
  cpSync(small, model, { recursive: true });
  writeFileSync(join(model, name), pointer);
  await expect(loadModel(model)).rejects.toThrow(
    `${name}: is a Git LFS pointer, not the file itself: run 'git lfs pull'`,
  );
});

it('in place of a GGUF file', async () => {
  const path = join(folder, 'x.gguf');
  writeFileSync(path, pointer);
  await expect(loadModel(path)).rejects.toThrow(`${path}: is a Git LFS pointer`);
});

it('a GGUF file is named where its tokenizer is wrong', () => {
  expect(() => tokenizerFromGguf(new Map(), 'my.gguf')).toThrow('my.gguf: tokenizer.ggml.model is missing');
});
