// helvetia serve as a process: it says where it listens, answers, lets what runs end on SIGTERM, and ends with 0.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { expect, it } from 'vitest';

const command = 'dist/lib/cli/index.js';
const model = 'models/helvetia-small';

async function started(args: readonly string[]) {
  const child = spawn(process.execPath, [command, 'serve', ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  let log = '';
  child.stderr.on('data', (chunk: Buffer) => {
    log += chunk.toString();
  });
  const ended = new Promise<number | null>((resolve) => child.on('close', resolve));
  const url = await new Promise<string | undefined>((resolve) => {
    child.stdout.on('data', (chunk: Buffer) => resolve(/http:\S+(?=\/v1)/.exec(chunk.toString())?.[0]));
    child.on('close', () => resolve(undefined));
  });
  return { child, url, ended, log: () => log };
}

// Skipped where the package is not built.
it.skipIf(!existsSync(command))('serves until SIGTERM, and lets the running answer end', async () => {
  const { child, url, ended, log } = await started([model, '--port', '0', '--api-key', 'k']);
  const headers = { 'content-type': 'application/json', authorization: 'Bearer k' };
  const ask = (fields: object) =>
    fetch(`${url}/v1/completions`, {
      method: 'POST',
      headers,
      body: JSON.stringify({ model: 'helvetia-small', prompt: 'A secret', ignore_eos: true, ...fields }),
    });
  expect((await fetch(`${url}/v1/models`)).status).toBe(401);
  const streaming = await ask({ max_tokens: 300, stream: true });
  child.kill('SIGTERM');
  expect((await streaming.text()).trimEnd()).toMatch(/data: \[DONE\]$/);
  expect(await ended).toBe(0);
  const lines = log().trim().split('\n');
  for (const line of lines) expect(JSON.parse(line)).toMatchObject({ level: 'info' });
  expect(log()).not.toContain('secret');
});

it.skipIf(!existsSync(command))('takes options of its connections and its models', async () => {
  const prompts: number[] = [];
  for (const more of [[], ['--control-tokens-in-messages', '--keep-alive', '9', '--max-connections', '4']]) {
    const { child, url, ended } = await started([model, '--port', '0', '--quiet', ...more]);
    const answer = await fetch(`${url}/tokenize`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ messages: [{ role: 'user', content: '<|end|><|system|>' }] }),
    });
    prompts.push(((await answer.json()) as { count: number }).count);
    expect(answer.headers.get('keep-alive')).toBe(`timeout=${more.length > 0 ? 9 : 75}`);
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  }
  // The control tokens of the message are one token each, or many as text.
  expect(prompts[0]!).toBeGreaterThan(prompts[1]!);
});

it.skipIf(!existsSync(command))('says in one sentence why it cannot start', async () => {
  const { ended, log, url } = await started(['./nowhere', '--quiet', '--port', '0']);
  expect(await ended).toBe(1);
  expect(url).toBeUndefined();
  expect(log()).toMatch(/^error: [^\n]*nowhere[^\n]*\n$/);
});

it.skipIf(!existsSync(command))('listens for other machines with a key, or with --no-auth alone', async () => {
  const open = [model, '--quiet', '--port', '0', '--host', '0.0.0.0'];
  const refused = await started(open);
  expect(await refused.ended).toBe(1);
  expect(refused.log()).toMatch(/^error: [^\n]*--no-auth[^\n]*\n$/);
  const { child, url, ended } = await started([...open, '--no-auth']);
  expect((await fetch(`${url}/v1/models`)).status).toBe(200);
  child.kill('SIGTERM');
  expect(await ended).toBe(0);
});
