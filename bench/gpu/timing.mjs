// How bench/gpu.mjs times, ours and PyTorch's, and what becomes of a figure.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { spread } from '../../dist/lib/bench/measure.js';
import { noGrad, recordCalls, scope } from '../../dist/lib/tensor-api.js';

/**
 * Milliseconds of one call. Twenty calls of `work` are recorded and replayed as one graph, so that what is timed is the
 * device and not the launches; fewer of a call that is long. `work(i)` is to take its inputs in turns.
 */
export async function time(device, work, calls = 20) {
  const many = async (recording, count) => {
    const started = performance.now();
    for (let i = 0; i < count; i++) recording.replay();
    await device.idle();
    return performance.now() - started;
  };
  const record = (count) =>
    scope(() =>
      recordCalls(() => {
        for (let i = 0; i < count; i++) work(i);
      }),
    ).recording;
  let recording = record(calls > 1 ? 2 : 1);
  try {
    await many(recording, 1); // captures the graph
    const one = Math.max(1e-3, (await many(recording, 1)) / Math.min(calls, 2));
    const count = Math.max(1, Math.min(calls, Math.ceil(4 / one)));
    if (calls > 1) {
      recording.dispose();
      recording = record(count);
      await many(recording, 2);
    }
    const replays = Math.max(2, Math.ceil(20 / (one * count)));
    return (await many(recording, replays)) / replays / count;
  } finally {
    recording.dispose();
    await device.idle();
  }
}

/** The same, of calls that need no gradient. */
export const quietly = (work) => (i) => noGrad(() => void work(i));

/** PyTorch in a process of its own: one JSON line in, one out. Whatever goes wrong there costs that figure alone. */
export class Torch {
  #process = spawn('python3', [join(import.meta.dirname, '../gpu-torch.py')], { stdio: ['pipe', 'pipe', 'inherit'] });
  #lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  #gone = false;

  constructor() {
    const end = () => {
      this.#gone = true;
    };
    this.#process.on('error', end).on('exit', end);
    this.#process.stdin.on('error', end);
  }

  static start() {
    const look = ['-c', 'import torch; torch.cuda.is_available() or exit(1)'];
    if (spawnSync('python3', look, { stdio: 'ignore' }).status === 0) return new Torch();
    console.error('python3 has no torch with CUDA: ours stand alone');
    return undefined;
  }

  /** Milliseconds, or undefined where PyTorch has none to give. */
  async time(request) {
    if (this.#gone) return undefined;
    this.#process.stdin.write(`${JSON.stringify(request)}\n`);
    const { value } = await this.#lines.next();
    if (value === undefined) return undefined;
    const { milliseconds, error } = JSON.parse(value);
    if (error) console.error(`  PyTorch, ${request.what}: ${error}`);
    return milliseconds ?? undefined;
  }

  close() {
    this.#process.stdin.end();
  }
}

/** The figures so far, in a file that is written after each: a run that is cut off goes on from it. */
export class Figures {
  results = [];
  left = [];
  failures = [];
  #files;
  #end;

  /** `facts` tell whose figures they are: those of another addon or GPU are not gone on with. */
  constructor(facts, files, seconds) {
    this.facts = facts;
    this.#files = files;
    this.#end = performance.now() + seconds * 1000;
    try {
      const before = JSON.parse(readFileSync(files[0], 'utf8'));
      if (['gpu', 'driver', 'addon', 'command'].every((key) => before[key] === facts[key])) {
        this.results = before.results;
        if (before.results.length) console.error(`goes on after ${before.results.length} figures of an earlier run`);
      }
    } catch {
      // The first run.
    }
  }

  has(name) {
    return this.results.some((entry) => entry.name === name);
  }

  /** Whether `name` is to be measured now: it is not there yet, and `seconds` are left for it. */
  wants(name, seconds = 15) {
    if (this.has(name)) return false;
    if (performance.now() + seconds * 1000 < this.#end) return true;
    this.left.push(name);
    return false;
  }

  /** `ours` and `torch` are rates in `unit`, or their spread; `ms`, ours and PyTorch's, are shown beside them. */
  add(name, unit, ours, torch = [], ms = undefined) {
    const entry = { name, unit };
    const of = (rates) => (Array.isArray(rates) ? spread(rates) : rates);
    if (ours.length !== 0) entry.ours = of(ours);
    if (torch.length !== 0) entry.torch = of(torch);
    if (entry.ours && entry.torch) entry.ratio = entry.ours.median / entry.torch.median;
    if (ms) entry.microseconds = Object.fromEntries(Object.entries(ms).map(([key, value]) => [key, 1000 * value]));
    this.results.push(entry);
    const number = (x, width) => (x === undefined ? '' : x.toFixed(1)).padStart(width);
    const us = (side) => (entry.microseconds?.[side] ? `${number(entry.microseconds[side], 10)} µs` : ' '.repeat(13));
    console.error(
      `${name.padEnd(58)} ${number(entry.ours?.median, 9)} ${unit.padEnd(8)}${us('ours')}   torch ${number(entry.torch?.median, 8)}${us('torch')}   ratio ${entry.ratio?.toFixed(3) ?? '-'}`,
    );
    this.write();
  }

  write(more = {}) {
    const { facts, results, left, failures } = this;
    const text = `${JSON.stringify({ ...facts, ...more, left, failures, results }, null, 2)}\n`;
    for (const file of this.#files) {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
    }
  }

  /** Runs a part; what goes wrong in it does not stop the others. */
  async part(name, work) {
    try {
      await work();
    } catch (error) {
      this.failures.push(`${name}: ${error.message}`);
      console.error(`${name} FAILED: ${error.stack}`);
      this.write();
    }
  }
}
