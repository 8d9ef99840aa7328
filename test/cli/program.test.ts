// The command line from outside: help, usage errors, exit codes, and what bad input is answered with.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { run } from '../../lib/cli/program.js';
import { cudaAbsence } from '../../lib/core/device.js';
import { saveSafetensors } from '../../lib/files/safetensors.js';
import { readEncoder, writeFolder } from '../golden/seeded.js';
import { type FakeOptions, FakeTerminal } from './fake-terminal.js';

const folder = mkdtempSync(join(tmpdir(), 'helvetia-cli-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function call(args: readonly string[], options: FakeOptions = {}) {
  const terminal = new FakeTerminal(options);
  const code = await run(args, terminal);
  return { code, out: terminal.out, err: terminal.err };
}

const commands = ['generate', 'chat', 'finetune', 'eval', 'merge', 'info', 'bench', 'doctor'];

describe('help', () => {
  it('prints the version', async () => {
    const { code, out, err } = await call(['--version']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
  });

  it('lists every command with a sentence, and how to begin', async () => {
    const { code, out } = await call(['--help']);
    expect(code).toBe(0);
    for (const command of commands) expect(out).toMatch(new RegExp(`^  ${command}\\b.* {2,}\\w`, 'm'));
    expect(out).toContain('Examples:');
    expect(out).toContain('Exit codes:');
    expect(out).not.toMatch(/^ {2}demo/m);
  });

  it.each([
    ...commands.map((command) => [command]),
    ['bench', 'decode'],
    ['bench', 'lora'],
    ['bench', 'matmul'],
    ['bench', 'attention'],
  ])('%s %s: says what it does, fits 80 columns', async (...command) => {
    const args = command.filter((part) => part !== undefined);
    const { code, out, err } = await call([...args, '--help']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain(`Usage: helvetia ${args.join(' ')}`);
    const options = out.split('\n').filter((line) => /^ {2}-/.test(line));
    expect(options.length).toBeGreaterThan(0);
    for (const line of out.split('\n')) expect([...line].length, line).toBeLessThanOrEqual(80);
  });

  it('shows the help where no command is given, as a usage error', async () => {
    const { code, out, err } = await call([]);
    expect([code, out]).toEqual([2, '']);
    expect(err).toContain('Usage: helvetia');
  });

  it('colours on a terminal only, and not against NO_COLOR', async () => {
    expect((await call(['--help'], { tty: true })).out).toContain('\x1b[1m');
    expect((await call(['--help'], { tty: true, env: { NO_COLOR: '1' } })).out).not.toContain('\x1b');
    expect((await call(['--help'])).out).not.toContain('\x1b');
  });
});

describe('usage errors end with 2 and say what is meant', () => {
  it.each([
    [['generat'], "unknown command 'generat'", 'generate'],
    [['generate', 'm', 'p', '--max-new-token', '3'], "unknown option '--max-new-token'", '--max-new-tokens'],
    [['finetune', 'm', 'd', '--out', 'o', '--lerning-rate', '1'], "unknown option '--lerning-rate'", '--learning-rate'],
    [['generate'], "missing required argument 'model'", ''],
    [['generate', 'm', 'p', '--temperature', 'hot'], "'hot' is invalid", 'a number of 0 or more'],
    [['generate', 'm', 'p', '--top-p', '1.5'], "'1.5' is invalid", 'above 0, at most 1'],
    [['generate', 'm', 'p', '--max-new-tokens', '-1'], "'-1' is invalid", 'an integer of 0 or more'],
    [['generate', 'm', 'p', '--seed', '1.5'], "'1.5' is invalid", 'an integer'],
    [['generate', 'm', 'p', '--dtype', 'int8'], "'int8' is invalid", 'f32, bf16, f16'],
    [['finetune', 'm', 'd'], "required option '--out <folder>' not specified", ''],
    [['finetune', 'm', 'd', '--out', 'o', '--rank', '0'], "'0' is invalid", 'a positive integer'],
    [['finetune', 'm', 'd', '--out', 'o', '--target-modules', '(q'], "'(q' is invalid", 'regular expression'],
    [['finetune', 'm', 'd', '--out', 'o', '--epochs', '1', '--steps', '2'], '--epochs', 'cannot be used with'],
    [['finetune', 'm', 'd', '--out', 'o', '--adapter', 'a', '--rank', '2'], '--adapter', 'cannot be used with'],
    [['merge', 'm', 'a', 'b', '--out', 'o'], 'too many arguments', ''],
    [['bench', 'matmul', '--sizes', '12,x'], "'12,x' is invalid", 'separated by commas'],
    [['bench', 'decode', '--shape', 'gpt'], "'gpt' is invalid", 'smollm2-135m'],
  ])('%j', async (args, message, hint) => {
    const { code, out, err } = await call(args);
    expect(code).toBe(2);
    expect(out).toBe('');
    expect(err).toContain(message);
    expect(err).toContain(hint);
  });

  it('needs a prompt', async () => {
    expect(await call(['generate', 'm'], { tty: true })).toMatchObject({
      code: 2,
      err: expect.stringContaining('no prompt'),
    });
    expect(await call(['generate', 'm'], { input: '' })).toMatchObject({
      code: 2,
      err: expect.stringContaining('prompt is empty'),
    });
    expect(await call(['chat', 'm'], { input: ' \n' })).toMatchObject({
      code: 2,
      err: expect.stringContaining('message is empty'),
    });
    expect(await call(['chat', 'm', '--json'], { tty: true })).toMatchObject({
      code: 2,
      err: expect.stringContaining('--json'),
    });
  });
});

describe('failures end with 1 and one sentence', () => {
  const oneSentence = /^error: [^\n]+\n$/;

  it.each([
    ['generate', 'nowhere/at/all', 'x'],
    ['chat', './nowhere.gguf', '--message', 'x'],
    ['info', './nowhere'],
    ['info', './nowhere.safetensors'],
    ['finetune', './nowhere', join(folder, 'nowhere.jsonl'), '--out', join(folder, 'o')],
    ['merge', './nowhere', './neither', '--out', join(folder, 'o')],
    ['bench', 'decode', './nowhere'],
  ])('%s: what is missing is named', async (...args) => {
    const { code, out, err } = await call(args);
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(oneSentence);
    expect(err).toContain('nowhere');
  });

  it('adds the stack where HELVETIA_DEBUG=1 asks for it', async () => {
    const { err } = await call(['info', './nowhere'], { env: { HELVETIA_DEBUG: '1' } });
    expect(err).toMatch(/\n {4}at /);
  });

  it('names the file that is no model', async () => {
    const text = join(folder, 'notes.txt');
    writeFileSync(text, 'hello');
    const gguf = join(folder, 'broken.gguf');
    writeFileSync(gguf, 'hello, this is no model');
    const empty = join(folder, 'empty');
    mkdirSync(empty, { recursive: true });
    for (const path of [text, gguf, empty]) {
      const { code, err } = await call(['generate', path, 'x']);
      expect(code).toBe(1);
      expect(err).toMatch(oneSentence);
      expect(err).toContain(path);
    }
  });

  it.runIf(cudaAbsence())('explains in doctor why there is no GPU, and what that makes of the device', async () => {
    vi.stubEnv('HELVETIA_GPU', undefined);
    onTestFinished(() => void vi.unstubAllEnvs());
    const terminal = new FakeTerminal();
    const running = run(['doctor'], terminal);
    await expect.poll(() => terminal.out).toContain('device');
    terminal.signals.emit('SIGINT'); // the checks themselves are other tests' work
    await running;
    expect(terminal.out).toContain(cudaAbsence().replace(/^CUDA cannot be used here: /, 'not usable: '));
    expect(terminal.out).toContain(`device  cpu, because ${cudaAbsence()}`);
    const asked = await call(['doctor', '--device', 'cuda']);
    expect(asked.code).toBe(1);
    expect(asked.err).toContain(`device 'cuda': ${cudaAbsence()}`);
  });

  it('refuses a device that is not there', async () => {
    const { code, err } = await call(['doctor', '--device', 'tpu']);
    expect(code).toBe(1);
    expect(err).toContain("device 'tpu' is not known");
  });
});

describe('folders that would be replaced', () => {
  const data = join(folder, 'data.jsonl');
  writeFileSync(data, '{"text": "hello"}\n');

  it('keeps a folder that is no adapter', async () => {
    const out = join(folder, 'thesis');
    mkdirSync(out);
    writeFileSync(join(out, 'chapter1.txt'), 'years of work');
    const { code, err } = await call(['finetune', 'm', data, '--out', out]);
    expect(code).toBe(2);
    expect(err).toContain('--force');
    expect(readdirSync(out)).toEqual(['chapter1.txt']);
    expect((await call(['merge', 'm', 'a', '--out', out])).code).toBe(2);
  });

  it('keeps the current folder and those above it, even by force', async () => {
    for (const out of ['.', '..', process.cwd(), '/']) {
      const { code, err } = await call(['finetune', 'm', data, '--out', out, '--force']);
      expect(code).toBe(2);
      expect(err).toContain('current folder');
    }
  });

  it('keeps a file, checkpoints inside, data inside, and an earlier run', async () => {
    expect((await call(['finetune', 'm', data, '--out', data])).err).toContain('is a file');
    const inside = await call([
      'finetune',
      'm',
      data,
      '--out',
      join(folder, 'a'),
      '--checkpoint-dir',
      join(folder, 'a', 'c'),
    ]);
    expect(inside).toMatchObject({ code: 2, err: expect.stringContaining('must not lie in --out') });
    const aroundData = await call(['finetune', 'm', data, '--out', folder, '--force']);
    expect(aroundData).toMatchObject({ code: 2, err: expect.stringContaining('holds the data') });
    mkdirSync(join(folder, 'b.checkpoints', 'step-000005'), { recursive: true });
    const earlier = await call(['finetune', 'm', data, '--out', join(folder, 'b')]);
    expect(earlier).toMatchObject({ code: 2, err: expect.stringContaining('--resume') });
    expect(existsSync(join(folder, 'b.checkpoints', 'step-000005'))).toBe(true);
  });
});

describe('info', () => {
  it('tells about a safetensors file', async () => {
    const path = join(folder, 'two.safetensors');
    await saveSafetensors(
      path,
      {
        a: { dtype: 'F32', shape: [2, 3], bytes: new Uint8Array(24) },
        b: { dtype: 'BF16', shape: [5], bytes: new Uint8Array(10) },
      },
      { made: 'here' },
    );
    const { code, out } = await call(['info', path, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toEqual({
      kind: 'safetensors',
      path,
      tensors: 2,
      parameters: 11,
      bytes: 34,
      formats: { f32: 1, bf16: 1 },
      metadata: { made: 'here' },
    });
    expect((await call(['info', path])).out).toMatch(
      /safetensors file\n.*parameters +11 \(11\)\n.*2 tensors, 34 bytes/s,
    );
  });

  it('tells about models of vectors and scores', async () => {
    const told = async (name: string): Promise<{ json: unknown; out: string }> => {
      const path = join(folder, name);
      mkdirSync(path);
      await writeFolder(readEncoder(name), path);
      return { json: JSON.parse((await call(['info', path, '--json'])).out), out: (await call(['info', path])).out };
    };
    const gemma = await told('gemma3_text');
    expect(gemma.json).toMatchObject({ model: 'embedding model', pooling: ['mean'], dimensions: 48, longestText: 64 });
    expect(gemma.out).toMatch(
      /vectors +48 numbers, of length 1, by pooling \(mean\), 2 layers behind it\n.*43 tensors/s,
    );
    const reranker = await told('xlm-roberta.cross');
    expect(reranker.json).toMatchObject({ model: 'reranker', pooling: ['cls'], sigmoid: true, longestText: 61 });
    expect(reranker.out).toMatch(/kind +reranker\n.*scores +of pairs of texts, from 0 to 1\n/s);
  });

  const smollm = '../shared/data/smollm2-135m-instruct';
  it.skipIf(!existsSync(smollm))(
    'tells about a GGUF model and an adapter (skipped without ../shared/data)',
    async () => {
      const model = JSON.parse((await call(['info', `${smollm}/SmolLM2-135M-Instruct.Q4_1.gguf`, '--json'])).out);
      expect(model).toMatchObject({
        kind: 'model',
        architecture: 'llama',
        supported: true,
        layers: 30,
        heads: 9,
        kvHeads: 3,
        headDim: 64,
        vocabSize: 49152,
        contextLength: 8192,
        tied: true,
        parameters: 134515008,
        // In 16 bits: 30 layers of 3 heads of 64 numbers, keys and values.
        memory: { weightBytes: 2 * 134515008, sequence: { tokens: 4096, bytes: 4096 * 30 * 3 * 64 * 2 * 2 } },
        formats: { q4_1: 210, q8_0: 1, f32: 61 },
        tokenizer: true,
        chatTemplate: true,
      });
      const adapter = JSON.parse((await call(['info', `${smollm}/lora/final`, '--json'])).out);
      expect(adapter).toMatchObject({ kind: 'adapter', r: 2, loraAlpha: 4, tensors: 420 });
    },
  );

  it('tells about a model that does not run here, and why', async () => {
    const path = join(folder, 'other');
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, 'config.json'), '{"model_type": "mamba"}');
    await saveSafetensors(join(path, 'model.safetensors'), {
      a: { dtype: 'F32', shape: [2], bytes: new Uint8Array(8) },
    });
    const { code, out } = await call(['info', path]);
    expect(code).toBe(0);
    expect(out).toContain('mamba, which does not run here');
    expect(out).toContain('supported: llama');
  });
});

it('does not serve everybody where the key that is set is empty', async () => {
  const { code, err } = await call(['serve', 'models/helvetia-small'], { env: { HELVETIA_API_KEY: '' } });
  expect(code).not.toBe(0);
  expect(err).toMatch(/'apiKeys\[0\]' must be a key/);
});
