// A compiler launcher, for a copy of the package whose sources a clone has compiled already: where the clone's command is
// the same and all sources are the same but for the root's path, the clone's object is copied. All else is compiled.
//
//   REUSE_FROM  the clone's root, whose build/cmake is up to date; REUSE_TO  the copy's root; REUSE_LOG  what was done
import { spawnSync } from 'node:child_process';
import { appendFileSync, copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { REUSE_FROM: from, REUSE_TO: to, REUSE_LOG: log } = process.env;
const [compiler, ...args] = process.argv.slice(2);
const object = args[args.indexOf('-o') + 1];

// A command, path or generated source of the copy, as it would be in the clone.
const inClone = (text) => text.replaceAll(to, from).replaceAll(join(from, 'build/release'), join(from, 'build/cmake'));
// Quotes differ between a shell's line and arguments.
const plain = (command) => inClone(command.replace(/["\\]/g, ''));

function run(list) {
  const { status, error } = spawnSync(compiler, list, { stdio: 'inherit' });
  if (error) console.error(`reuse.mjs: ${error.message}`);
  return status === 0;
}

/** The clone's object for the same command, if it has one. */
function known() {
  const database = join(from, 'build/cmake/compile_commands.json');
  if (!args.includes('-c') || !existsSync(database)) return undefined;
  const withoutList = args.filter(
    (arg, i) => arg !== '-MD' && !['-MT', '-MF'].includes(arg) && !/^-M[TF]$/.test(args[i - 1]),
  );
  const same = plain([compiler, ...withoutList].join(' '));
  const entry = JSON.parse(readFileSync(database, 'utf8')).find(({ command }) => plain(command) === same);
  const path = entry && join(entry.directory, object);
  return path && existsSync(path) ? path : undefined;
}

/** Whether the copy's sources are the clone's, all of them: then each command reads the same. */
function readsTheSame() {
  const source = args[args.indexOf('-c') + 1];
  const files = readdirSync(join(from, 'native'), { recursive: true, withFileTypes: true });
  const sources = files.filter((file) => file.isFile()).map((file) => join(file.parentPath ?? file.path, file.name));
  const inCopy = (file) => to + file.slice(from.length);
  const same = (copy, file) => existsSync(copy) && inClone(readFileSync(copy, 'utf8')) === readFileSync(file, 'utf8');
  return same(source, inClone(source)) && sources.every((file) => same(inCopy(file), file));
}

const path = known();
const copied = path !== undefined && readsTheSame();
if (copied) {
  copyFileSync(path, object);
  // The list of what it reads, which CMake wants: nothing in the copy is edited.
  writeFileSync(args[args.indexOf('-MF') + 1], `${object}: ${args[args.indexOf('-c') + 1]}\n`);
}
if (args.includes('-c')) appendFileSync(log, `${copied ? 'copied' : 'compiled'} ${object}\n`);
process.exit(copied || run(args) ? 0 : 1);
