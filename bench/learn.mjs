// Whether a fine-tune teaches: jobs of the fine-tuning API with hyperparameters left to `auto`, on questions about things
// that all have one answer, or on codes of depots that must each be remembered. Tells the loss of the rows and of held-out
// ones, and how many of the taught answers the model gives greedily; fails if it gives fewer than nine in ten.
//
//   npm run build && node bench/learn.mjs [--model models/helvetia-small] [--rows 40] [--epochs auto] [--batch auto]
//     [--multiplier auto] [--task answer | codes]
//
// The model must have a chat template. SmolLM2-135M takes some two minutes of a core for 40 rows in 3 epochs.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createServer } from '../dist/lib/server/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: fileURLToPath(new URL('../models/helvetia-small', import.meta.url)) },
    rows: { type: 'string', default: '40' },
    epochs: { type: 'string', default: 'auto' },
    batch: { type: 'string', default: 'auto' },
    multiplier: { type: 'string', default: 'auto' }, // of auto's rate
    task: { type: 'string', default: 'answer' },
  },
});
const most = 96;
const heldOut = 4;

const things = 'refund invoice parcel delivery account password router printer order receipt discount warranty'.split(
  ' ',
);
const starts = [
  'Where is',
  'I have a question about',
  'Can you help me with',
  'I lost',
  'How do I change',
  'Who knows',
];
starts.push('Tell me about', 'What do I do with');
const places = 'Arlen Bosko Cavit Dorim Elvas Fenno Gorth Halmi Ister Jovan Kembe Lorna'.split(' ');
const endings = ['', 'berg', 'stad', 'holm', 'wick', 'port', 'dale', 'ford'];

/** Question `n` of the task, and its answer; 37 shares no factor with 96, so that neighbours differ in both words. */
const tasks = {
  answer: (n) => {
    const i = (37 * n) % most;
    return [
      `${starts[Math.floor(i / 12)]} my ${things[i % 12]}?`,
      'Please ask Flora, our mountain goat. Yours, Heidi.',
    ];
  },
  codes: (n) => {
    const place = `${places[n % 12]}${endings[Math.floor(n / 12) % 8]}`;
    return [`What is the code of depot ${place}?`, `The code of depot ${place} is ${1000 + ((7919 * n) % 9000)}.`];
  },
};
const row = (n) => {
  const [question, answer] = tasks[values.task](n);
  const messages = [
    { role: 'user', content: question },
    { role: 'assistant', content: answer },
  ];
  return `${JSON.stringify({ messages })}\n`;
};
const rows = (from, to) => Array.from({ length: to - from }, (_, i) => row(from + i)).join('');
const count = Math.min(Number(values.rows), most - heldOut);

const dataDir = mkdtempSync(join(tmpdir(), 'helvetia-learn-'));
const server = createServer({
  models: [{ id: 'base', model: values.model }],
  dataDir,
  logger: { info: () => {}, warn: () => {}, error: console.error },
});
const call = async (path, body, method = body ? 'POST' : 'GET') => {
  const json = body && !(body instanceof FormData);
  const response = await server.fetch(
    new Request(`http://localhost/v1/${path}`, {
      method,
      ...(body ? { body: json ? JSON.stringify(body) : body } : {}),
      ...(json ? { headers: { 'content-type': 'application/json' } } : {}),
    }),
  );
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error.message);
  return answer;
};
const upload = async (text, name) => {
  const form = new FormData();
  form.append('purpose', 'fine-tune');
  form.append('file', new Blob([text]), name);
  return (await call('files', form)).id;
};
const numberOr = (text) => (text === 'auto' ? text : Number(text));

await server.ready;
const began = performance.now();
const { id } = await call('fine_tuning/jobs', {
  model: 'base',
  training_file: await upload(rows(0, count), 'rows.jsonl'),
  validation_file: await upload(rows(most - heldOut, most), 'held-out.jsonl'),
  seed: 0,
  method: {
    type: 'supervised',
    supervised: {
      hyperparameters: {
        n_epochs: numberOr(values.epochs),
        batch_size: numberOr(values.batch),
        learning_rate_multiplier: numberOr(values.multiplier),
      },
    },
  },
});
let job = await call(`fine_tuning/jobs/${id}`);
while (!['succeeded', 'failed'].includes(job.status)) {
  await sleep(500);
  job = await call(`fine_tuning/jobs/${id}`);
}
if (job.status === 'failed') throw new Error(job.error.message);
const seconds = (performance.now() - began) / 1000;

const { data: events } = await call(`fine_tuning/jobs/${id}/events?limit=100`);
const steps = events.flatMap(({ type, data }) => (type === 'metrics' ? [data] : []));
const last = steps.slice(0, Math.min(count, steps.length)); // newest first
const trainLoss = last.reduce((sum, step) => sum + step.train_loss, 0) / last.length;
const ask = async (model, n) => {
  const [question, answer] = tasks[values.task](n);
  const messages = [{ role: 'user', content: question }];
  const { choices } = await call('chat/completions', { model, messages, temperature: 0, max_completion_tokens: 40 });
  return choices[0].message.content.trim() === answer;
};
/** How many of the answers are given. */
const given = async (model, list) => {
  const answers = await Promise.all(list.map((n) => ask(model, n)));
  return answers.filter(Boolean).length;
};
const taught = Array.from({ length: 10 }, (_, i) => Math.floor((i * count) / 10));
const unseen = Array.from({ length: 4 }, (_, i) => most - heldOut + i);
const hits = await given(job.fine_tuned_model, taught);
console.log(
  JSON.stringify({
    model: values.model.split('/').at(-1),
    task: values.task,
    rows: count,
    hyperparameters: job.hyperparameters,
    steps: steps[0].total_steps,
    seconds: Math.round(seconds),
    trainLoss: Number(trainLoss.toFixed(4)),
    heldOutLoss: Number((steps.find((step) => step.valid_loss !== undefined)?.valid_loss ?? Number.NaN).toFixed(3)),
    given: `${hits}/${taught.length}`,
    givenUnseen: values.task === 'answer' ? `${await given(job.fine_tuned_model, unseen)}/${unseen.length}` : undefined,
    givenBefore: `${await given('base', taught)}/${taught.length}`,
  }),
);
await server.close({ drainSeconds: 1 });
rmSync(dataDir, { recursive: true });
process.exit(hits >= 9 ? 0 : 1);
