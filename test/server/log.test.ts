// The log: JSON lines, and what happens where they cannot be written.
import { spawnSync } from 'node:child_process';
import { Writable } from 'node:stream';
import { expect, it } from 'vitest';
import { jsonLogger } from '../../lib/server/log.js';

it('is one JSON object a line', () => {
  const lines: string[] = [];
  const out = new Writable({
    write(chunk: Buffer, _, done) {
      lines.push(chunk.toString());
      done();
    },
  });
  jsonLogger(out).warn({ model: 'a\nb' }, 'full');
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/^[^\n]+\n$/);
  expect(JSON.parse(lines[0]!)).toMatchObject({ level: 'warn', event: 'full', model: 'a\nb' });
});

it('loses lines that cannot be written, and nothing else', async () => {
  const out = new Writable({ write: (_, __, done) => done(new Error('no space left on the device')) });
  const log = jsonLogger(out);
  for (let i = 0; i < 3; i++) {
    log.info({ i }, 'request');
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(out.destroyed).toBe(true);
});

it.skipIf(process.platform !== 'linux')('does not end a process whose disk is full', () => {
  const script = `
    const { jsonLogger } = await import('helvetia/server');
    const log = jsonLogger();
    for (let i = 0; i < 3; i++) {
      log.info({ i }, 'request');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    console.log('alive');
  `;
  const node = `'${process.execPath}' --input-type=module -e "$SCRIPT" 2>/dev/full`;
  const { stdout, status } = spawnSync('sh', ['-c', node], {
    env: { ...process.env, SCRIPT: script },
    encoding: 'utf8',
  });
  expect(stdout.trim()).toBe('alive');
  expect(status).toBe(0);
});
