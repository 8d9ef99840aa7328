// A file that is shortened in place while it is mapped: what reads it fails by the file's name, and all else goes on.
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { mapFile } from '../../lib/files/mapped.js';
import { add } from '../../lib/ops/binary.js';
import { toDevice } from '../../lib/ops/copy.js';
import { full } from '../../lib/ops/random.js';
import { testDevice } from '../device.js';

const count = 1 << 18;
const shortened = (path: string): string => `${path}: the file was shortened while it was in use`;
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'shortened-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function ones(name: string) {
  const path = join(folder, name);
  writeFileSync(path, new Uint8Array(new Float32Array(count).fill(1).buffer));
  return { path, file: mapFile(path) };
}

it('an op on a tensor in it fails, and others do not', async () => {
  const { path, file } = ones('op');
  const whole = ones('whole');
  const x = file.tensor(0, [count], 'f32');
  const y = whole.file.tensor(0, [count], 'f32');
  expect((await add(x, 1).data())[count - 1]).toBe(2);
  truncateSync(path, 1000);
  await expect(add(x, 1).data()).rejects.toThrow(shortened(path));
  await expect(x.data()).rejects.toThrow(shortened(path));
  expect((await add(y, 1).data())[count - 1]).toBe(2);
  expect((await full([3], 2).data())[2]).toBe(2);
});

it('a copy of its bytes fails', () => {
  const { path, file } = ones('bytes');
  truncateSync(path, 1000);
  expect(() => file.read(0, 4 * count)).toThrow(shortened(path));
});

it('a transfer of a tensor in it to another device fails', async () => {
  const { path, file } = ones('transfer');
  const x = file.tensor(0, [count], 'f32');
  truncateSync(path, 1000);
  await expect(add(toDevice(x, testDevice), 1).data()).rejects.toThrow(shortened(path));
});
