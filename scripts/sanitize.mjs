// The CPU's side under sanitizers: builds the addon and test/native/stress.cc with AddressSanitizer and UBSan, then with
// ThreadSanitizer, and runs the stress program and the tests of what calls the addon. It fails on any report.
//
//   node scripts/sanitize.mjs [address | thread] [test files]
//
// Node itself is not instrumented, so the sanitizer's runtime is loaded before it. Needs GCC, on Linux.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { buildAddon } from './addon.mjs';

const root = join(import.meta.dirname, '..');

const sanitizers = {
  address: {
    folder: 'build/asan',
    library: 'libasan.so',
    // V8 and Node free little at exit, which would hide the addon's leaks: test/leak counts those.
    options: 'detect_leaks=0:detect_stack_use_after_return=1',
    isOurs: () => true,
  },
  thread: {
    folder: 'build/tsan',
    library: 'libtsan.so',
    options: 'history_size=4:exitcode=0',
    isOurs: (report) => /helvetia\.node|stress/.test(report.includes('data race') ? accesses(report) : report),
  },
};

/**
 * The stacks of the accesses of a data race. Node, V8 and the bundler under vitest are not instrumented, and the atomics
 * that order their accesses are not seen: a race counts where one of its accesses is the addon's.
 */
const accesses = (report) => report.split(/^ {2}(?:Location|Mutex|Thread|As if|Hint)|^SUMMARY/m)[0];

/** Ops, tensors, gradients, environments in worker threads, recordings, a model that generates and one that is trained. */
const tests = [
  'test/ops/',
  'test/core/',
  'test/check/',
  'test/lora/',
  'test/models/golden',
  'test/models/greedy',
  'test/engine/engine',
  'test/train/finetune',
];

function run(command, args, env = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...env } });
  if (error) throw error;
  return status === 0;
}

/** Where the compiler keeps one of its runtimes. */
function runtime(library) {
  const { stdout, error } = spawnSync('g++', [`-print-file-name=${library}`], { encoding: 'utf8' });
  if (error || !stdout.startsWith('/')) throw new Error(`${library} was not found: the sanitizers need GCC, on Linux`);
  return stdout.trim();
}

function sanitize(name, files) {
  const { folder, library, options, isOurs } = sanitizers[name];
  const preload = runtime(library);
  buildAddon(['helvetia', 'stress'], {
    folder,
    defines: [`HELVETIA_SANITIZE=${name}`, 'HELVETIA_CUDA=OFF', `HELVETIA_OUTPUT=${folder}/build/Release`],
  });

  const logs = join(root, folder, 'reports');
  rmSync(logs, { recursive: true, force: true });
  mkdirSync(logs);
  const logged = `${options}:log_path=${join(logs, 'report')}`;
  const env = {
    ASAN_OPTIONS: logged,
    TSAN_OPTIONS: logged,
    // Ends the process, as an error of memory does: beside AddressSanitizer it writes no log.
    UBSAN_OPTIONS: 'print_stacktrace=1:halt_on_error=1',
    HELVETIA_THREADS: '4',
    HELVETIA_GPU: 'off',
  };
  console.log(`sanitize: ${name}: the stress program`);
  const stress = run(join(root, folder, 'stress'), [], env);
  console.log(`sanitize: ${name}: the tests`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  // The addon in `folder` takes the place of the clone's own.
  const preloaded = { ...env, LD_PRELOAD: preload, HELVETIA_PREBUILD: join(root, folder) };
  const project = ['--project=!simt*', '--project=!cuda', '--testTimeout=1800000'];
  const passed = run(process.execPath, [vitest, 'run', ...project, ...files], preloaded);

  const reports = readdirSync(logs)
    .flatMap((file) => readFileSync(join(logs, file), 'utf8').split(/^={10,}$/m))
    .filter((report) => /WARNING: ThreadSanitizer|ERROR: /.test(report) && isOurs(report));
  for (const report of reports) console.error(report);
  console.log(`sanitize: ${name}: ${reports.length} reports${stress && passed ? '' : '; a run failed'}`);
  return stress && passed && reports.length === 0;
}

try {
  const [first, ...rest] = process.argv.slice(2);
  const names = Object.hasOwn(sanitizers, first) ? [first] : Object.keys(sanitizers);
  const files = (Object.hasOwn(sanitizers, first) ? rest : process.argv.slice(2)).filter((file) => file !== '--');
  // Each of them, also after one that failed.
  const results = names.map((name) => sanitize(name, files.length > 0 ? files : tests));
  process.exit(results.every(Boolean) ? 0 : 1);
} catch (error) {
  console.error(`sanitize: ${error.message}`);
  process.exit(1);
}
