// Runs nvcc, as CMake's compiler launcher, and keeps what ptxas says of each kernel beside the object file: its registers,
// shared memory, spills, and whether wgmma was serialised. The test of the GPU build reads these (test/build).
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

const command = process.argv.slice(2);
const object = command[command.indexOf('-o') + 1];
const compiles = object?.endsWith('.o') && command.includes('-c');
const result = spawnSync(command[0], [...command.slice(1), ...(compiles ? ['-Xptxas', '-v'] : [])], {
  encoding: 'utf8',
  maxBuffer: 1 << 28,
});
if (result.error) {
  console.error(`nvcc.mjs: ${result.error.message}`);
  process.exit(1);
}
const said = result.stdout + result.stderr;
if (compiles && result.status === 0) writeFileSync(`${object}.ptxas`, said);
// Errors and warnings go on to the build; one line per kernel would only hide them.
process.stderr.write(
  result.status === 0 ? said.replace(/^.*(ptxas info|bytes stack frame|bytes spill).*\n/gm, '') : said,
);
process.exit(result.status ?? 1);
