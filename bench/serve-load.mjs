// A server under load: 64 clients that stream, read slowly, leave in the middle and send bad bodies, for as long as you
// say. Fails if an answer is lost or mixed, if memory grows, if blocks stay in use, or if the event loop is held up.
//
//   npm run build && node bench/serve-load.mjs [--model models/helvetia-small] [--minutes 5] [--clients 64] [--seed 1]
//
// The clients are a process of their own, so that the event loop that is measured is the server's alone.
import { spawn } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: fileURLToPath(new URL('../models/helvetia-small', import.meta.url)) },
    minutes: { type: 'string', default: '5' },
    clients: { type: 'string', default: '64' },
    seed: { type: 'string', default: '1' },
    url: { type: 'string' }, // what the process of the clients is started with
    id: { type: 'string' },
  },
});
const options = { seconds: Number(values.minutes) * 60, clients: Number(values.clients), seed: Number(values.seed) };
if (!(options.seconds > 0) || !(options.clients >= 1) || !Number.isInteger(options.clients))
  throw new Error('--minutes must be a positive number, --clients a whole number from 1 on');

if (values.url) {
  const { serveLoad } = await import('../dist/lib/bench/serve-load.js');
  process.stdout.write(JSON.stringify(await serveLoad({ ...options, url: values.url, model: values.id })));
} else {
  await serve();
}

async function serve() {
  const { loadModel, memory } = await import('../dist/lib/index.js');
  const { createServer } = await import('../dist/lib/server/index.js');
  const model = await loadModel(values.model);
  const server = createServer({ models: [model], logger: false });
  const { url } = await server.listen({ port: 0 });
  const resolution = 10;
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  const resident = [];
  const living = [];
  const sampling = setInterval(() => resident.push(process.memoryUsage().rss), 1000);
  // The device at its peak: what it uses at a moment moves by MiB with the call that the moment falls into, and a leak
  // lifts the peak all the same.
  const collecting = setInterval(() => living.push(live() + memory(model.decoder.device).peak), 10_000);
  const result = JSON.parse(await clients(url, model.name));
  clearInterval(sampling);
  clearInterval(collecting);
  delay.disable();
  await new Promise((resolve) => setTimeout(resolve, 500)); // those who left are noticed
  const { running, waiting, blocksUsed } = model.engine.stats();
  // The first third warms up: code is compiled, the pools fill.
  const part = (samples, from, to) => {
    const taken = samples.slice((samples.length * from) / 3, (samples.length * to) / 3);
    return taken.length === 0 ? null : Math.max(...taken) / 2 ** 20;
  };
  const growth = (samples) => ({ middle: part(samples, 1, 2), end: part(samples, 2, 3) });
  const report = {
    answers: result.answers,
    slow: result.slow,
    left: result.left,
    refused: result.refused,
    mixed: result.mixed.slice(0, 5),
    failures: result.failures.slice(0, 5),
    // The histogram holds the whole interval between two looks.
    eventLoopP99Milliseconds: delay.count < 100 ? null : delay.percentile(99) / 1e6 - resolution,
    // JavaScript's bytes after a collection with the device's at their peak; and what the process holds of the machine.
    liveMiB: growth(living),
    residentMiB: growth(resident),
    leftOver: { running, waiting, blocksUsed },
  };
  await server.close();
  model.dispose();
  console.log(JSON.stringify(report, null, 2));
  const { liveMiB, residentMiB } = report;
  const unmeasured = [report.eventLoopP99Milliseconds, ...[liveMiB, residentMiB].flatMap(Object.values)].includes(null);
  const wrong = [
    unmeasured && 'the run was too short for all of its figures',
    report.answers === 0 && 'nobody got an answer',
    result.mixed.length > 0 && 'answers were mixed',
    result.failures.length > 0 && 'requests failed',
    report.eventLoopP99Milliseconds > 20 && 'the event loop was held up',
    liveMiB.end > liveMiB.middle + 2 && 'memory grew',
    // The heap's spare room and the allocator's come and go by some tens of MiB.
    residentMiB.end > residentMiB.middle * 1.1 + 16 && 'the process grew',
    (running || waiting || blocksUsed) && 'something is still in use',
  ].filter(Boolean);
  if (wrong.length > 0) console.error(wrong.join('; '));
  process.exitCode = wrong.length > 0 ? 1 : 0;
}

/** JavaScript's bytes in use once everything that nobody holds is gone. */
function live() {
  setFlagsFromString('--expose-gc');
  runInNewContext('gc')();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function clients(url, id) {
  const given = [
    '--url',
    url,
    '--id',
    id,
    '--minutes',
    values.minutes,
    '--clients',
    values.clients,
    '--seed',
    values.seed,
  ];
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), ...given], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return new Promise((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.on('error', reject);
    child.on('close', (code) =>
      code === 0 ? resolve(output) : reject(new Error(`the clients ended with code ${code}`)),
    );
  });
}
