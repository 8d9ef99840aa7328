// Several Node environments in one process, clean exits, and the package as others import it.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { testDevice } from '../device.js';

const root = join(import.meta.dirname, '..', '..');

// Plain JavaScript over the compiled package, as its users run it.
function run(
  script: string,
  env: Record<string, string> = {},
  args: string[] = [],
): { status: number | null; stdout: string; stderr: string } {
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, '-e', script], {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    timeout: 280_000,
  });
  return { status, stdout, stderr };
}

describe('the package', () => {
  it('loads by import and by require, as one module', () => {
    const { stdout, stderr } = run(`
      const required = require('helvetia');
      import('helvetia').then((imported) => console.log(imported.loadModel === required.loadModel, typeof required.Adapter));
    `);
    expect(stderr.replace(/^.*ExperimentalWarning.*\n.*--trace-warnings.*\n/m, '')).toBe('');
    expect(stdout.trim()).toBe('true function');
  });

  it('has its tensors under helvetia/tensor', () => {
    const { stdout } = run(
      `
      import { add, tensor } from 'helvetia/tensor';
      console.log(await add(tensor([1]), 2).item());
    `,
      {},
      ['--input-type=module'],
    );
    expect(stdout.trim()).toBe('3');
  });

  it('exits by itself when nothing is awaited, with calls still queued', () => {
    const { status, stderr } = run(`
      const { matmul, randn } = require('helvetia/tensor');
      const a = randn([1500, 1500], { seed: 1 });
      for (let i = 0; i < 20; i++) matmul(a, a);
    `);
    expect(stderr).not.toMatch(/Error|abort/i);
    expect(status).toBe(0);
  });

  it.runIf(testDevice !== 'cpu')('exits with bytes on their way from one device to another', () => {
    const { status, stderr } = run(`
      const { matmul, randn, toDevice } = require('helvetia/tensor');
      const a = randn([1200, 1200], { seed: 1, device: 'cpu' });
      let x = a;
      for (let i = 0; i < 20; i++) x = matmul(a, a);
      toDevice(x, 'cuda');
    `);
    expect(stderr).not.toMatch(/Error|abort/i);
    expect(status).toBe(0);
  });

  it.runIf(testDevice !== 'cpu')('ends worker threads with bytes on their way between devices', () => {
    const { status, stdout, stderr } = run(`
      const { Worker } = require('node:worker_threads');
      const code = \`
        const { matmul, randn, toDevice } = require('helvetia/tensor');
        const { parentPort } = require('node:worker_threads');
        let x = randn([200, 200], { seed: 1, device: 'cpu' });
        for (let i = 0; i < 30; i++) x = toDevice(matmul(x, x), i % 2 ? 'cpu' : 'cuda');
        parentPort.postMessage('queued');
        setInterval(() => {}, 1000);
      \`;
      const ended = (worker) => new Promise((resolve, reject) => {
        worker.on('message', () => worker.terminate().then(resolve, reject)).on('error', reject);
      });
      Promise.all([1, 2, 3].map(() => ended(new Worker(code, { eval: true })))).then((codes) => console.log(codes.length));
    `);
    expect(stderr.replace(/^.*ExperimentalWarning.*\n.*--trace-warnings.*\n/gm, '')).toBe('');
    expect(stdout.trim()).toBe('3');
    expect(status).toBe(0);
  });

  it('stays alive while a result is awaited', () => {
    const { stdout } = run(`
      const { matmul, randn } = require('helvetia/tensor');
      const a = randn([800, 800], { seed: 1 });
      matmul(a, a).data().then((data) => console.log(data.length));
    `);
    expect(stdout.trim()).toBe('640000');
  });

  it('works in worker threads at the same time, ended early too', () => {
    const { status, stdout, stderr } = run(`
      const { Worker, isMainThread, parentPort } = require('node:worker_threads');
      const code = \`
        const { matmul, randn } = require('helvetia/tensor');
        const { parentPort } = require('node:worker_threads');
        (async () => {
          const a = randn([256, 256], { seed: 5 });
          let x = a;
          for (let i = 0; i < 20; i++) x = matmul(a, a);
          parentPort.postMessage((await x.data())[7]);
        })();
      \`;
      const start = () => new Worker(code, { eval: true });
      const first = (worker) => new Promise((resolve, reject) => worker.on('message', resolve).on('error', reject));
      (async () => {
        const numbers = await Promise.all([start(), start(), start()].map(first));
        const busy = start();
        await new Promise((resolve) => setTimeout(resolve, 100));
        await busy.terminate();
        console.log(new Set(numbers).size, Number.isFinite(numbers[0]));
      })();
    `);
    expect(stderr.replace(/^.*ExperimentalWarning.*\n.*--trace-warnings.*\n/gm, '')).toBe('');
    expect(stdout.trim()).toBe('1 true');
    expect(status).toBe(0);
  });

  it('lets worker threads end in any way while the device works for them', () => {
    const { status, stdout, stderr } = run(`
      const { Worker } = require('node:worker_threads');
      const code = (end) => \`
        const { matmul, randn } = require('helvetia/tensor');
        const a = randn([192, 192], { seed: 5 });
        const loop = async () => { for (;;) await matmul(a, a).data(); };
        for (let i = 0; i < 4; i++) loop();
        require('node:worker_threads').parentPort.postMessage('busy');
        setTimeout(() => { \${end} }, 5);
      \`;
      const ends = ['process.exit(3)', 'throw new Error("uncaught")', ''];
      (async () => {
        for (let round = 0; round < 4; round++) {
          await Promise.all(ends.map((end) => new Promise((resolve) => {
            const worker = new Worker(code(end), { eval: true });
            worker.on('error', () => {}).on('exit', resolve);
            if (end === '') worker.on('message', () => worker.terminate());
          })));
        }
        console.log('alive');
      })();
    `);
    expect(stderr.replace(/^.*ExperimentalWarning.*\n.*--trace-warnings.*\n/gm, '')).toBe('');
    expect(stdout.trim()).toBe('alive');
    expect(status).toBe(0);
  });

  it('explains a CPU path that it does not have', () => {
    const { status, stderr } = run("require('helvetia/tensor')", { HELVETIA_CPU: 'mmx' });
    expect(status).not.toBe(0);
    expect(stderr).toMatch(/HELVETIA_CPU=mmx is not one of /);
  });

  it('computes the same on every path that this machine has, within rounding', () => {
    const script = `
      const { cpuInfo, matmul, randn, softmax } = require('helvetia/tensor');
      const x = randn([65, 130], { seed: 3 });
      softmax(matmul(x, randn([130, 33], { seed: 4 }))).data().then((data) => console.log(JSON.stringify({ info: cpuInfo(), data: [...data] })));
    `;
    const first = JSON.parse(run(script).stdout) as { info: { path: string; paths: string[] }; data: number[] };
    for (const path of first.info.paths) {
      const other = JSON.parse(run(script, { HELVETIA_CPU: path }).stdout) as typeof first;
      expect(other.info.path).toBe(path);
      other.data.forEach((x, i) => expect(Math.abs(x - first.data[i]!)).toBeLessThan(1e-5));
    }
  });

  it('gives the same bits with one thread and with several', () => {
    const script = `
      const { backward, matmul, randn, rmsNorm, ones, sum } = require('helvetia/tensor');
      const x = randn([300, 200], { seed: 3, requiresGrad: true });
      const w = ones([200], { requiresGrad: true });
      backward(sum(matmul(rmsNorm(x, w), randn([200, 70], { seed: 4 }))));
      Promise.all([x.grad.bytes(), w.grad.bytes()]).then((all) => console.log(all.map((bytes) => Buffer.from(bytes).toString('base64')).join()));
    `;
    const [one, three] = ['1', '3'].map((threads) => run(script, { HELVETIA_THREADS: threads }).stdout);
    expect(one).not.toBe('');
    expect(three).toBe(one);
  });
});
