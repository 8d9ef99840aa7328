// Runs a fine-tune in a process of its own, to be killed: appends each step's loss to a file, then the adapter's hash.
import { createHash } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { finetune } from '../../lib/train/finetune.js';
import { ruleRows, smallDecoder } from './small.js';

async function main(): Promise<void> {
  const [checkpointDir, output] = process.argv.slice(-2) as [string, string];
  const run = finetune(smallDecoder(), undefined, {
    data: ruleRows(60),
    batchTokens: 96,
    seqLength: 24,
    gradientAccumulation: 2,
    epochs: 6,
    lora: { r: 4, dropout: 0.1 },
    learningRate: 1e-2,
    schedule: 'cosine',
    warmupSteps: 3,
    checkpointDir,
    checkpointEvery: 2,
    resume: true,
  });
  for await (const { step, loss } of run) appendFileSync(output, `${step} ${loss}\n`);
  const hash = createHash('sha256');
  for (const x of (await run).parameters()) hash.update(await x.bytes());
  appendFileSync(output, `end ${hash.digest('hex')}\n`);
}

export const done = main();
