// A server in a process of its own, to be killed: makes one job if there is none yet, and ends when the job has.
import { createServer } from '../../../lib/server/index.js';
import { modelId, modelPath } from '../running.js';

async function main(): Promise<void> {
  const [dataDir, method] = process.argv.slice(-2) as [string, 'supervised' | 'dpo'];
  const server = createServer({ models: [modelPath], dataDir, logger: false });
  const call = async <T>(path: string, init?: RequestInit): Promise<T> => {
    const response = await server.fetch(new Request(`http://server/v1${path}`, init));
    if (!response.ok) throw new Error(await response.text());
    return (await response.json()) as T;
  };
  const upload = async (text: string): Promise<string> => {
    const body = new FormData();
    body.append('purpose', 'fine-tune');
    body.append('file', new File([text], 'rows.jsonl'));
    return (await call<{ id: string }>('/files', { method: 'POST', body })).id;
  };
  const jobs = () => call<{ data: { status: string; error: unknown }[] }>('/fine_tuning/jobs');

  await server.ready;
  if ((await jobs()).data.length === 0) {
    const hyperparameters = { n_epochs: 3, batch_size: 2, lora_r: 4, lora_dropout: 0.1, learning_rate: 2e-3 };
    const body = JSON.stringify({
      model: modelId,
      training_file: await upload(rows(40, method)),
      validation_file: await upload(rows(3, method)),
      seed: 11,
      method: { type: method, [method]: { hyperparameters } },
    });
    await call('/fine_tuning/jobs', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  }
  for (;;) {
    const [job] = (await jobs()).data;
    if (job!.status === 'failed') throw new Error(JSON.stringify(job!.error));
    if (job!.status === 'succeeded') break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  await server.close();
}

function rows(count: number, method: string): string {
  return Array.from({ length: count }, (_, n) => {
    const asked = { role: 'user', content: `Which parcel is number ${n}?` };
    const said = (content: string) => ({ role: 'assistant', content });
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

export const done = main();
