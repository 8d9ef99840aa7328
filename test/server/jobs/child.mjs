// A server in a process of its own, to be killed: makes one job if there is none yet, and ends when the job has. It runs
// the compiled library, which starts at once.
import { createServer } from '../../../dist/lib/server/index.js';

const [dataDir, method, model] = process.argv.slice(-3);
const server = createServer({ models: [model], dataDir, logger: false });

async function call(path, init) {
  const response = await server.fetch(new Request(`http://server/v1${path}`, init));
  if (!response.ok) throw new Error(await response.text());
  return response.json();
}

async function upload(text) {
  const body = new FormData();
  body.append('purpose', 'fine-tune');
  body.append('file', new File([text], 'rows.jsonl'));
  return (await call('/files', { method: 'POST', body })).id;
}

const jobs = async () => (await call('/fine_tuning/jobs')).data;

function rows(count) {
  return Array.from({ length: count }, (_, n) => {
    const asked = { role: 'user', content: `Which parcel is number ${n}?` };
    const said = (content) => ({ role: 'assistant', content });
    const row =
      method === 'dpo'
        ? {
            input: { messages: [asked] },
            preferred_output: [said('Blue.')],
            non_preferred_output: [said('Nobody knows.')],
          }
        : { messages: [asked, said(`Parcel ${n} is blue.`)] };
    return `${JSON.stringify(row)}\n`;
  }).join('');
}

await server.ready;
if ((await jobs()).length === 0) {
  const hyperparameters = { n_epochs: 3, batch_size: 2, lora_r: 4, lora_dropout: 0.1, learning_rate: 2e-3 };
  const body = JSON.stringify({
    model: (await call('/models')).data[0].id,
    training_file: await upload(rows(40)),
    validation_file: await upload(rows(3)),
    seed: 11,
    method: { type: method, [method]: { hyperparameters } },
  });
  await call('/fine_tuning/jobs', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
}
for (;;) {
  const [job] = await jobs();
  if (job.status === 'failed') throw new Error(JSON.stringify(job.error));
  if (job.status === 'succeeded') break;
  await new Promise((resolve) => setTimeout(resolve, 5));
}
await server.close();
