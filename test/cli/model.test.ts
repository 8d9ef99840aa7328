// The commands on a real, small model: text, conversations, a fine-tune from data to adapter, Ctrl-C in the middle.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../lib/cli/program.js';
import { type FakeOptions, FakeTerminal, plain } from './fake-terminal.js';

const source = ['models/helvetia-small', '../shared/data/stories260K/hf'].find((path) =>
  existsSync(join(path, 'model.safetensors')),
);
const folder = mkdtempSync(join(tmpdir(), 'helvetia-cli-model-'));
const model = join(folder, 'model'); // with a chat template, whatever the source has
const mute = join(folder, 'mute'); // without one
const data = join(folder, 'data.jsonl');

beforeAll(() => {
  if (!source) return;
  for (const path of [model, mute]) cpSync(source, path, { recursive: true });
  const file = join(mute, 'tokenizer_config.json');
  const { chat_template: _, ...config } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>;
  writeFileSync(file, JSON.stringify(config));
  const template = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}";
  writeFileSync(join(model, 'tokenizer_config.json'), JSON.stringify({ ...config, chat_template: template }));
  writeFileSync(
    data,
    Array.from(
      { length: 24 },
      (_, i) => `${JSON.stringify({ text: `Once there was a goat number ${i}. It was happy.` })}\n`,
    ).join(''),
  );
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function call(args: readonly string[], options: FakeOptions = {}) {
  const terminal = new FakeTerminal(options);
  const code = await run(args, terminal);
  return { code, out: terminal.out, err: terminal.err };
}

/** Runs `args` and sends Ctrl-C as soon as the output holds `trigger`. */
async function interruptAt(trigger: string, args: readonly string[], times = 1) {
  const terminal = new FakeTerminal();
  terminal.stdout.on('data', () => {
    if (!terminal.out.includes(trigger)) return;
    for (; times > 0; times--) terminal.signals.emit('SIGINT');
  });
  const code = await run(args, terminal);
  return { code, out: terminal.out, err: terminal.err, exits: terminal.exits };
}

const lines = (text: string): Record<string, unknown>[] =>
  text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

// Skipped where neither models/helvetia-small nor ../shared/data is there.
describe.skipIf(!source)('with a model', () => {
  describe('generate', () => {
    it('streams the text that --json reports', async () => {
      const args = ['generate', model, 'Once upon a time', '--max-new-tokens', '12', '--ignore-eos'];
      const text = await call(args);
      expect([text.code, text.err]).toEqual([0, '']);
      const json = await call([...args, '--json']);
      expect([json.code, json.err]).toEqual([0, '']);
      const result = JSON.parse(json.out);
      expect(text.out).toBe(result.text.endsWith('\n') ? result.text : `${result.text}\n`);
      expect(result.tokens).toHaveLength(12);
      expect(result).toMatchObject({ finishReason: 'length', usage: { completionTokens: 12 } });
      expect(result.tokensPerSecond).toBeGreaterThan(0);
    });

    it('reads the prompt from standard input', async () => {
      const args = ['generate', model, '--max-new-tokens', '5', '--json'];
      const piped = JSON.parse((await call(args, { input: 'Once upon a time' })).out);
      const given = JSON.parse((await call(['generate', model, 'Once upon a time', ...args.slice(2)])).out);
      expect(piped.tokens).toEqual(given.tokens);
      expect(piped.usage).toEqual(given.usage);
    });

    it('draws the same text from the same seed, and stops before a stop text', async () => {
      const sampled = [
        'generate',
        model,
        'Once',
        '--max-new-tokens',
        '20',
        '--temperature',
        '1',
        '--seed',
        '7',
        '--ignore-eos',
        '--json',
      ];
      const first = JSON.parse((await call(sampled)).out);
      expect(JSON.parse((await call(sampled)).out).tokens).toEqual(first.tokens);
      const stop = first.text.trim().split(/\s+/).at(-1) as string;
      const stopped = JSON.parse((await call([...sampled, '--stop', stop])).out);
      expect(stopped.finishReason).toBe('stop');
      expect(stopped.text).not.toContain(stop);
      expect(first.text.startsWith(stopped.text)).toBe(true);
    });

    it('ends with 130 after Ctrl-C, the line ended', async () => {
      const { code, out, err } = await interruptAt(' ', [
        'generate',
        model,
        'Once upon a time',
        '--max-new-tokens',
        '400',
        '--ignore-eos',
      ]);
      expect([code, err]).toEqual([130, '']);
      expect(out).toMatch(/\n$/);
    });

    it('says in one sentence what does not fit', async () => {
      const { code, err } = await call(['generate', model, 'goat '.repeat(3000)]);
      expect(code).toBe(1);
      expect(err).toMatch(/^error: .*context.*\n$/);
    });
  });

  describe('chat', () => {
    it('answers one message, from an option or a pipe, as text or JSON', async () => {
      const args = ['chat', model, '--max-new-tokens', '8', '--ignore-eos'];
      const option = await call([...args, '--message', 'Once upon a time']);
      const piped = await call(args, { input: 'Once upon a time\n' });
      const json = await call([...args, '--message', 'Once upon a time', '--json']);
      expect([option.code, piped.code, json.code]).toEqual([0, 0, 0]);
      expect(piped.out).toBe(option.out);
      expect(`${JSON.parse(json.out).text}\n`).toBe(option.out);
      const instructed = await call([...args, '--message', 'Once upon a time', '--system', 'Be a goat.']);
      expect(instructed.code).toBe(0);
    });

    it('refuses a model without a chat template', async () => {
      const { code, err } = await call(['chat', mute, '--message', 'hello']);
      expect(code).toBe(1);
      expect(err).toContain('has no chat template');
    });

    async function converse(steps: readonly { type: string; until: RegExp }[]) {
      const terminal = new FakeTerminal({ tty: true, env: { NO_COLOR: '1' } });
      const ended = run(['chat', model, '--max-new-tokens', '400', '--ignore-eos'], terminal);
      for (const { type, until } of steps) {
        const from = terminal.out.length;
        terminal.stdin.write(type);
        await expect.poll(() => plain(terminal.out.slice(from)), { interval: 5 }).toMatch(until);
      }
      return { terminal, ended };
    }

    it('holds a conversation with commands', async () => {
      const { terminal, ended } = await converse([
        { type: '', until: /> $/ },
        { type: '/help\r', until: /\/reset[\s\S]*> $/ },
        { type: '/nonsense\r', until: /not a command[\s\S]*> $/ },
        { type: '/system Be brief.\r', until: /Instructions set[\s\S]*> $/ },
        { type: '/reset\r', until: /A new conversation[\s\S]*> $/ },
      ]);
      terminal.stdin.write('/exit\r');
      expect(await ended).toBe(0);
    });

    it('stops an answer by Ctrl-C and goes on; Ctrl-C at the prompt leaves with 130', async () => {
      const { terminal, ended } = await converse([
        { type: '', until: /> $/ },
        { type: 'Once upon a time\r', until: /\n.*[a-z]/ },
      ]);
      const from = terminal.out.length;
      terminal.signals.emit('SIGINT');
      await expect.poll(() => plain(terminal.out.slice(from)), { interval: 5 }).toMatch(/> $/);
      expect(terminal.err).toContain('[stopped]');
      terminal.stdin.write('\x03');
      expect(await ended).toBe(130);
      expect(terminal.exits).toEqual([]);
    });

    it('leaves with 0 on Ctrl-D', async () => {
      const { terminal, ended } = await converse([{ type: '', until: /> $/ }]);
      terminal.stdin.write('\x04');
      expect(await ended).toBe(0);
    });
  });

  describe('finetune', () => {
    const small = ['--rank', '4', '--alpha', '8', '--batch-size', '4', '--learning-rate', '1e-2', '--seq-length', '64'];

    it('leaves an adapter with figures and a plot, which generates, merges and can be trained on', async () => {
      const out = join(folder, 'adapter');
      const trained = await call([
        'finetune',
        model,
        data,
        '--out',
        out,
        '--steps',
        '12',
        '--eval-data',
        data,
        '--json',
        ...small,
      ]);
      expect([trained.code, trained.err]).toEqual([0, '']);
      const events = lines(trained.out);
      expect(events[0]).toEqual({
        type: 'start',
        rows: expect.any(Number),
        steps: 12,
        batchSize: 4,
        learningRate: 1e-2,
        schedule: 'linear',
        warmupSteps: 0,
        lora: { r: 4, alpha: 8 },
      });
      const steps = events.filter(({ type }) => type === 'step');
      expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 12 }, (_, i) => i + 1));
      expect(steps.at(-1)!.loss as number).toBeLessThan(steps[0]!.loss as number);
      expect(events.at(-1)).toMatchObject({
        type: 'end',
        interrupted: false,
        adapter: out,
        step: 12,
        evalLoss: expect.any(Number),
      });
      expect(readdirSync(out).sort()).toEqual([
        'adapter_config.json',
        'adapter_model.safetensors',
        'loss.svg',
        'metrics.jsonl',
      ]);
      expect(lines(readFileSync(join(out, 'metrics.jsonl'), 'utf8'))).toHaveLength(12);
      expect(existsSync(`${out}.checkpoints`)).toBe(false);

      const prompt = ['Once there was a goat', '--max-new-tokens', '12', '--ignore-eos', '--json'];
      const adapted = JSON.parse((await call(['generate', model, ...prompt, '--adapter', out])).out);
      const bare = JSON.parse((await call(['generate', model, ...prompt])).out);
      expect(adapted.text).not.toBe(bare.text);

      const merged = join(folder, 'merged');
      expect((await call(['merge', model, out, '--out', merged])).code).toBe(0);
      expect(JSON.parse((await call(['generate', merged, ...prompt])).out).usage).toEqual(adapted.usage);
      expect((await call(['merge', model, out, '--out', merged])).code).toBe(2);
      expect((await call(['merge', model, out, '--out', model, '--force'])).err).toContain('holds the model');

      const further = await call([
        'finetune',
        model,
        data,
        '--out',
        out,
        '--adapter',
        out,
        '--steps',
        '2',
        '--batch-size',
        '4',
        '--metrics',
        'csv',
      ]);
      expect(further.code).toBe(0);
      expect(further.out).toMatch(
        /^trained 2 steps in .*: loss .* to .*\nsaved .*metrics\.csv and loss\.svg\ntry it: helvetia chat /,
      );
      expect(further.err).toMatch(
        /^2 steps of \d+ rows, \d+ rows? in a step, learning rate .* \(linear\), rank 4, alpha 8\nfinetune {2}1\/2 {2}loss \d\.\d{3} {2}/,
      );
      expect(readFileSync(join(out, 'metrics.csv'), 'utf8').trim().split('\n')).toHaveLength(3);
    });

    it('learns preferences', async () => {
      const [out, pairs] = [join(folder, 'preferences'), join(folder, 'pairs.jsonl')];
      const row = { prompt: 'Once there was a', chosen: ' goat who sang.', rejected: ' table.' };
      writeFileSync(pairs, `${JSON.stringify(row)}\n`.repeat(4));
      const flags = ['--method', 'dpo', '--beta', '0.5', '--steps', '4', '--learning-rate', '1e-3', '--json'];
      const trained = await call(['finetune', model, pairs, '--out', out, ...flags]);
      expect([trained.code, trained.err]).toEqual([0, '']);
      const steps = lines(trained.out).filter(({ type }) => type === 'step');
      expect(steps[0]!.loss).toBeCloseTo(Math.log(2), 5);
      expect(steps[3]).toMatchObject({ type: 'step', step: 4, rewardAccuracy: 1 });
      expect(steps[3]!.rewardMargin).toBeGreaterThan(0);
      expect((await call(['finetune', model, pairs, '--out', out, '--beta', '0.5'])).err).toContain(
        "needs method: 'dpo'",
      );
      const wrong = await call(['finetune', model, pairs, '--out', out, '--method', 'dpo', '--beta', '0']);
      expect([wrong.code, wrong.err]).toEqual([2, expect.stringContaining('Expected a positive number.')]);
      const shown = await call(['finetune', model, pairs, '--out', out, '--method', 'dpo', '--steps', '1']);
      expect(shown.err).toMatch(/loss 0\.693 {2}.* tokens\/s {2}reward margin 0\.000 {2}reward accuracy 0\.000/);
      expect(readFileSync(join(out, 'loss.svg'), 'utf8')).toContain('loss (nats per pair)');
    });

    it('saves on Ctrl-C, ends with 130, and goes on from there with --resume', async () => {
      const out = join(folder, 'interrupted');
      const args = ['finetune', model, data, '--out', out, '--steps', '30', '--json', ...small];
      const first = await interruptAt('"step":3,', args);
      expect([first.code, first.exits]).toEqual([130, []]);
      const end = lines(first.out).at(-1)!;
      expect(end).toMatchObject({ type: 'end', interrupted: true, adapter: out });
      expect(end.step as number).toBeLessThan(30);
      expect(existsSync(join(out, 'adapter_model.safetensors'))).toBe(true);
      expect(existsSync(join(out, 'loss.svg'))).toBe(true);
      expect(readdirSync(`${out}.checkpoints`).some((name) => name.startsWith('step-'))).toBe(true);

      expect((await call(args)).code).toBe(2);
      const resumed = await call([...args, '--resume']);
      expect(resumed.code).toBe(0);
      const steps = lines(readFileSync(join(out, 'metrics.jsonl'), 'utf8'));
      expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 30 }, (_, i) => i + 1));
      expect(existsSync(`${out}.checkpoints`)).toBe(false);

      const whole = join(folder, 'whole');
      expect((await call(['finetune', model, data, '--out', whole, '--steps', '30', '--json', ...small])).code).toBe(0);
      const weights = (path: string): Buffer => readFileSync(join(path, 'adapter_model.safetensors'));
      expect(weights(out).equals(weights(whole))).toBe(true);
    });

    it('ends at once on a second Ctrl-C', async () => {
      const args = ['finetune', model, data, '--out', join(folder, 'twice'), '--steps', '30', '--json', ...small];
      expect((await interruptAt('"step":2,', args, 2)).exits).toEqual([130]);
    });

    it('names the file and the line of a bad row', async () => {
      const bad = join(folder, 'bad.jsonl');
      writeFileSync(bad, '{"text": "fine"}\n{"text": 5}\n');
      const { code, err } = await call(['finetune', model, bad, '--out', join(folder, 'o')]);
      expect(code).toBe(1);
      expect(err).toMatch(/^error: [^\n]*bad\.jsonl:2: [^\n]+\n$/);
      writeFileSync(bad, '{"text": "fine"}\n\n{"text": \n');
      expect((await call(['finetune', model, bad, '--out', join(folder, 'o')])).err).toMatch(/bad\.jsonl:3: /);
      expect(existsSync(join(folder, 'o'))).toBe(false);
    });

    it("takes the library's own objections to options as usage errors", async () => {
      const { code, err } = await call(['finetune', model, data, '--out', join(folder, 'o'), '--seq-length', '100000']);
      expect(code).toBe(2);
      expect(err).toContain('context');
    });
  });

  it('bench: reports medians, a yardstick and the machine', async () => {
    const { code, out } = await call(['bench', 'decode', model, '--tokens', '8', '--repeats', '2', '--json']);
    expect(code).toBe(0);
    const report = JSON.parse(out);
    expect(report).toMatchObject({
      bench: 'decode',
      subject: { model, random: false, tokens: 8 },
      measurements: [
        { unit: 'tokens/s', repeats: 2, median: expect.any(Number), min: expect.any(Number), max: expect.any(Number) },
      ],
      references: [{ unit: 'GB/s' }],
      machine: {
        cpu: expect.any(String),
        threads: expect.any(Number),
        path: expect.any(String),
        node: process.version,
      },
      commandLine: expect.any(String),
    });
    expect(report.measurements[0].median).toBeGreaterThan(0);
  });
});

it('bench lora and matmul run on small sizes', async () => {
  const products = await call(['bench', 'matmul', '--sizes', '64,96', '--dtype', 'f32', '--repeats', '2']);
  expect(products.code).toBe(0);
  expect(products.out).toMatch(/matmul 96 f32 +[\d.]+ .*GFLOP\/s +\d+ %/);
});
