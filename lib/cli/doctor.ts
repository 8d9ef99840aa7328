// helvetia doctor: says what was found on this machine, and checks every op against its reference.
import { cpus, freemem, totalmem } from 'node:os';
import type { Command } from 'commander';
import { type Case, checkForward, checkGradients, type Difference } from '../check/case.js';
import { families } from '../check/index.js';
import {
  cpuInfo,
  cudaAbsence,
  cudaCount,
  cudaInfo,
  cudaPassedOver,
  type Device,
  device as deviceOf,
  whyCpu,
} from '../core/device.js';
import { bytes, duration } from './format.js';
import { addDevice } from './options.js';
import { packageVersion } from './package.js';
import { type Context, exitCodes, styleFor } from './terminal.js';

interface Flags {
  device: string;
  json?: boolean;
}

interface Failure {
  case: string;
  message: string;
}

interface FamilyResult {
  family: string;
  cases: number;
  passed: number;
  /** The largest error as a share of what is allowed. */
  worst: number;
  seconds: number;
  failures: Failure[];
}

export function addDoctor(program: Command, context: Context): void {
  const command = program
    .command('doctor')
    .summary('say what works on this machine')
    .description(
      'Says what was found (versions, instruction set, threads, memory, CUDA or why not), then checks every op against its reference, forward and gradients. Takes less than half a minute.',
    )
    .option('--json', 'print one JSON object');
  addDevice(command)
    .addHelpText(
      'after',
      `
HELVETIA_CPU=avx2 chooses another of the CPU paths, HELVETIA_THREADS=1 another
number of threads. HELVETIA_GPU=off keeps to the CPU.

Examples:
  $ helvetia doctor
  $ HELVETIA_CPU=avx2 helvetia doctor --json`,
    )
    .action((flags: Flags) => doctor(context, flags));
}

async function doctor(context: Context, flags: Flags): Promise<void> {
  const { stdout, env } = context.terminal;
  const device = deviceOf(flags.device);
  const found = facts();
  const style = styleFor(stdout, env);
  const say = (line: string): void => {
    if (!flags.json) stdout.write(`${line}\n`);
  };
  say(`${style.bold('Helvetia')} ${found.version}, Node ${found.node}, ${found.platform}`);
  say(
    `  ${style.dim('CPU   ')}  ${found.cpu}, ${found.cores} cores, ${bytes(found.memoryBytes)} memory (${bytes(found.freeBytes)} free)`,
  );
  say(
    `  ${style.dim('path  ')}  ${found.path} with ${found.threads} threads; this machine runs ${found.paths.join(', ')}`,
  );
  say(`  ${style.dim('CUDA  ')}  ${found.cuda}`);
  const why = flags.device === 'auto' && device.name === 'cpu' ? `, because ${whyCpu()}` : '';
  say(`  ${style.dim('device')}  ${device}${why}`);
  say('');

  const started = performance.now();
  const results: FamilyResult[] = [];
  for (const [family, cases] of Object.entries(families)) {
    const result = await checkFamily(family, cases, device, context.interrupts.signal);
    results.push(result);
    const mark = result.failures.length === 0 ? style.green('ok  ') : style.red('FAIL');
    const worst = Number.isNaN(result.worst)
      ? 'not a number'
      : `worst error ${Math.round(100 * result.worst)} % of the allowed`;
    say(
      `  ${mark}  ${family.padEnd(12)} ${String(result.passed).padStart(3)} of ${String(result.cases).padStart(3)} cases   ${worst.padEnd(33)} ${duration(result.seconds)}`,
    );
    for (const failure of result.failures.slice(0, 5)) say(`        ${failure.case}: ${failure.message}`);
    if (result.failures.length > 5) say(`        and ${result.failures.length - 5} more`);
  }
  const failed = results.filter((result) => result.failures.length > 0);
  const seconds = (performance.now() - started) / 1000;
  const ok = failed.length === 0;
  if (flags.json)
    stdout.write(`${JSON.stringify({ ok, ...found, device: String(device), seconds, families: results })}\n`);
  say('');
  say(
    ok
      ? `All ops agree with their references (${duration(seconds)}).`
      : `Wrong results in: ${failed.map(({ family }) => family).join(', ')}. Do not trust this machine's output.`,
  );
  if (!ok) context.exitCode = exitCodes.failure;
}

function facts() {
  const { path, paths, threads } = cpuInfo();
  const found = cpus();
  return {
    version: packageVersion,
    node: process.version,
    platform: `${process.platform}-${process.arch}`,
    cpu: found[0]?.model.trim() ?? 'unknown',
    cores: found.length,
    memoryBytes: totalmem(),
    freeBytes: process.availableMemory?.() ?? freemem(),
    path,
    paths,
    threads,
    cuda:
      cudaAbsence().replace(/^CUDA cannot be used here: /, 'not usable: ') || [...gpus(), ...passedOver()].join('; '),
  };
}

function gpus(): string[] {
  return Array.from({ length: cudaCount() }, (_, i) => {
    const { name, capability, processors, bytes: memory, freeBytes } = cudaInfo(i);
    return `cuda:${i} ${name}, compute capability ${capability}, ${processors} multiprocessors, ${bytes(memory)} memory (${bytes(freeBytes)} free)`;
  });
}

const passedOver = (): string[] => (cudaPassedOver() ? [`passed over: ${cudaPassedOver()}`] : []);

async function checkFamily(
  family: string,
  cases: readonly Case[],
  device: Device,
  signal: AbortSignal,
): Promise<FamilyResult> {
  const started = performance.now();
  const result: FamilyResult = { family, cases: cases.length, passed: 0, worst: 0, seconds: 0, failures: [] };
  for (const spec of cases) {
    signal.throwIfAborted();
    const differences = [await guarded(() => checkForward(spec, device))];
    if (spec.gradients?.length) differences.push(await guarded(() => checkGradients(spec, device)));
    const wrong = differences.find(({ worst }) => !(worst <= 1)); // NaN is wrong too
    if (wrong) result.failures.push({ case: spec.name, message: wrong.message });
    else result.passed++;
    for (const { worst } of differences) if (!(worst <= result.worst)) result.worst = worst;
  }
  result.seconds = (performance.now() - started) / 1000;
  return result;
}

async function guarded(check: () => Promise<Difference>): Promise<Difference> {
  try {
    return await check();
  } catch (error) {
    return { worst: Number.NaN, message: (error as Error).message };
  }
}
