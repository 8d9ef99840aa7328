// JSON Lines: what reads, and what the errors say.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TimeSlice } from '../../../lib/flow/pause.js';
import { jsonLines } from '../../../lib/train/data/jsonl.js';
import { processed } from '../../processor-time.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'helvetia-jsonl-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

async function read(content: string | Uint8Array): Promise<[number, unknown][]> {
  const path = join(folder, 'rows.jsonl');
  writeFileSync(path, content);
  const out: [number, unknown][] = [];
  for await (const { line, value } of jsonLines(path)) out.push([line, value]);
  return out;
}

describe('jsonLines', () => {
  it('reads lines with their numbers', async () => {
    expect(await read('{"a":1}\n{"a":2}\n')).toEqual([
      [1, { a: 1 }],
      [2, { a: 2 }],
    ]);
    expect(await read('{"a":1}\n{"a":2}')).toHaveLength(2);
    expect(await read('')).toEqual([]);
  });

  it('takes a byte order mark, CRLF, and empty lines', async () => {
    expect(await read('\ufeff{"a":"é"}\r\n\r\n  \n{"a":2}\r\n')).toEqual([
      [1, { a: 'é' }],
      [4, { a: 2 }],
    ]);
  });

  it('reads files longer than its buffer, with lines longer than it too', async () => {
    const long = 'é'.repeat(700_000);
    const rows = Array.from({ length: 3000 }, (_, i) => ({ i, text: i === 1500 ? long : 'x'.repeat(i % 500) }));
    const found = await read(rows.map((row) => JSON.stringify(row)).join('\n'));
    expect(found.map(([, value]) => value)).toEqual(rows);
    expect(found.at(-1)![0]).toBe(3000);
  });

  it('names file, line and column of a mistake', async () => {
    await expect(read('{"a":1}\n\n{"a":1,}\n')).rejects.toThrow(/rows\.jsonl:3: not valid JSON: column 8: /);
    await expect(read('{"a":1}\n{"a":')).rejects.toThrow(/rows\.jsonl:2: not valid JSON: /);
    await expect(read('[\n{"a":1}\n]')).rejects.toThrow(/rows\.jsonl:1: expected JSON Lines/);
    await expect(read(new Uint8Array([0x7b, 0x7d, 0x0a, 0x22, 0xff, 0x22]))).rejects.toThrow(
      /rows\.jsonl:2: not UTF-8/,
    );
  });

  it('takes millions of empty lines in its stride, and stops in the middle of them', async () => {
    const path = join(folder, 'rows.jsonl');
    writeFileSync(path, `${'\n'.repeat(20_000_000)} \t\r\n{"a":1}`);
    let [latest, worst] = [processed(), 0];
    const slice = new TimeSlice();
    const pause = async () => {
      worst = Math.max(worst, processed() - latest);
      await slice.pause();
      latest = processed();
    };
    const began = processed();
    const found: unknown[] = [];
    for await (const row of jsonLines(path, pause)) found.push(row);
    expect(found).toEqual([{ line: 20_000_002, value: { a: 1 } }]);
    expect(worst).toBeLessThan((processed() - began) / 10);
    const controller = new AbortController();
    let pauses = 0;
    const stopped = async () => {
      if (++pauses === 5) controller.abort();
      controller.signal.throwIfAborted();
    };
    const all = async () => {
      for await (const _ of jsonLines(path, stopped));
    };
    await expect(all()).rejects.toThrow(/abort/i);
    expect(pauses).toBe(5);
  });

  it('refuses a line that is no row', async () => {
    await expect(read(`{"a":1}\n{"a":"${'x'.repeat(5_000_000)}"}`)).rejects.toThrow(
      /rows\.jsonl:2: the line is longer than 4194304 bytes/,
    );
  });

  it('says what is wrong with the file', async () => {
    const all = async (path: string) => {
      for await (const _ of jsonLines(path));
    };
    await expect(all(join(folder, 'none.jsonl'))).rejects.toThrow(/none\.jsonl: no such file/);
    await expect(all(folder)).rejects.toThrow(/is a folder/);
  });

  it('survives any mutation of a file, with an error that names it', async () => {
    const path = join(folder, 'rows.jsonl');
    const good = Buffer.from('{"messages":[{"role":"user","content":"é\\u00e9"}]}\n{"input_ids":[1,2,3]}\n');
    let seed = 1;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return (seed >>> 8) % below;
    };
    for (let i = 0; i < 300; i++) {
      const bytes = Buffer.from(good);
      for (let n = 1 + random(4); n > 0; n--) bytes[random(bytes.length)] = random(256);
      try {
        await read(bytes.subarray(0, 1 + random(bytes.length)));
      } catch (error) {
        expect((error as Error).message).toContain(path);
      }
    }
  });
});
