// evaluate(): the loss that training reports, answers word for word, and an adapter beside its model.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { run } from '../../lib/cli/program.js';
import { loadModel, type Model } from '../../lib/model.js';
import { FakeTerminal } from '../cli/fake-terminal.js';

const folder = mkdtempSync(join(tmpdir(), 'helvetia-eval-'));
let model: Model;
beforeAll(async () => {
  model = await loadModel('models/helvetia-small');
});
afterAll(() => {
  model?.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const row = (question: string, answer: string) => ({
  messages: [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ],
});
const data = ['Anna', 'Tom', 'Mia', 'Ben'].map((name, i) => row(`Where is ${name}?`, `${name} is in room ${i + 3}.`));

describe('evaluate', () => {
  it('gives the loss that training reports of its evaluation data', async () => {
    const steps = [];
    const training = model.finetune({
      data,
      evalData: data,
      evalEvery: 1,
      steps: 1,
      lora: { r: 2 },
      learningRate: 1e-3,
    });
    for await (const step of training) steps.push(step);
    const adapter = await training;
    const { loss, rows, tokenAccuracy } = await model.evaluate(data, { adapter, answers: false });
    expect(loss).toBeCloseTo(steps[0]!.evalLoss!, 5);
    expect(rows).toBe(4);
    expect(tokenAccuracy).toBeGreaterThan(0);
    const base = await model.evaluate(data, { answers: false });
    expect(base.loss).not.toBe(loss);
    expect(base).toMatchObject({ asked: 0, exact: 0 });
    adapter.dispose();
  });

  it('counts the answers that are given word for word', async () => {
    const { text, finishReason } = await model.chat([{ role: 'user', content: 'Once upon a time' }], {
      temperature: 0,
    });
    expect(finishReason).toBe('stop');
    const own = row('Once upon a time', text);
    const progress: [number, number][] = [];
    const result = await model.evaluate([own, row('Once upon a time', 'Something else.'), { text: 'A story.' }], {
      onProgress: (done, all) => progress.push([done, all]),
    });
    expect(result).toMatchObject({ rows: 3, asked: 2, exact: 1 });
    expect(progress.at(-1)).toEqual([5, 5]);
  });

  it('says what is wrong with options and rows', async () => {
    await expect(model.evaluate(data, { seqLen: 5 } as never)).rejects.toThrow(/'seqLen'.*'seqLength'/);
    await expect(model.evaluate([{ messages: 5 }] as never)).rejects.toThrow(/row 0.*messages/);
    await expect(model.evaluate([])).rejects.toThrow(/no rows/);
    await expect(model.evaluate(data, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});

describe('helvetia eval', () => {
  const evalRows = 'examples/data/demo-eval.jsonl';
  const call = async (args: readonly string[]) => {
    const terminal = new FakeTerminal();
    const code = await run(['eval', 'models/helvetia-small', ...args], terminal);
    return { code, out: terminal.out, err: terminal.err };
  };

  it('shows model and adapter in a table, or as JSON', async () => {
    const training = model.finetune({ data, steps: 1, lora: { r: 2 } });
    const adapter = await training;
    await adapter.save(join(folder, 'adapter'));
    adapter.dispose();
    const { code, out } = await call([evalRows, '--adapter', join(folder, 'adapter'), '--no-answers']);
    expect(code).toBe(0);
    expect(out).toMatch(
      /^\d+ rows\n +loss +perplexity +token accuracy\nmodel +\d\.\d{4} .* %\nadapter +\d\.\d{4} .* %\n$/,
    );
    const json = await call([evalRows, '--no-answers', '--json']);
    expect(JSON.parse(json.out)).toMatchObject({ model: { loss: expect.any(Number), asked: 0 } });
  });

  it('fails with the file and the line', async () => {
    const { code, err } = await call(['none.jsonl']);
    expect(code).toBe(1);
    expect(err).toContain('none.jsonl');
  });
});
