// The installed command as a process of its own: a reader that leaves early, real signals, a clean exit.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const command = 'dist/lib/cli/index.js';
const model = ['models/helvetia-small', '../shared/data/stories260K/hf'].find((path) =>
  existsSync(join(path, 'model.safetensors')),
);

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs the command; `watch` sees the output as it grows, and may act on the process. */
function start(
  args: readonly string[],
  watch: (out: string, child: ReturnType<typeof spawn>) => void = () => {},
): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [command, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => {
      out += chunk.toString();
      watch(out, child);
    });
    child.stderr.on('data', (chunk: Buffer) => {
      err += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

// Skipped where the package is not built, or neither model is there.
describe.skipIf(!existsSync(command))('as a process', () => {
  it('prints its version, and errors without a stack', async () => {
    expect(await start(['--version'])).toMatchObject({ code: 0, err: '' });
    const { code, err } = await start(['info', './nowhere']);
    expect(code).toBe(1);
    expect(err).toMatch(/^error: [^\n]+\n$/);
  });

  it.skipIf(!model)('ends quietly when its reader leaves', async () => {
    const long = ['generate', model!, 'Once upon a time', '--max-new-tokens', '400', '--ignore-eos'];
    const { code, err } = await start(long, (_, child) => child.stdout!.destroy());
    expect([code, err]).toEqual([0, '']);
    expect(await start(['--help'], (_, child) => child.stdout!.destroy())).toMatchObject({ code: 0, err: '' });
  });

  it.skipIf(!model)('ends with 130 after Ctrl-C and 143 after SIGTERM', async () => {
    for (const [signal, expected] of [
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const) {
      let sent = false;
      const { code, err } = await start(
        ['generate', model!, 'Once upon a time', '--max-new-tokens', '450', '--ignore-eos'],
        (_, child) => {
          if (!sent) child.kill(signal);
          sent = true;
        },
      );
      expect([signal, code, err]).toEqual([signal, expected, '']);
    }
  });
});
