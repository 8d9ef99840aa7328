#!/usr/bin/env node
// The `helvetia` command. Everything is loaded from here on, so that a package whose addon does not load says so in one
// sentence.

const { stdin, stdout, stderr, env } = process;

function end(code: number): void {
  process.exitCode = code;
}

import('./program.js')
  .then(({ run }) =>
    run(process.argv.slice(2), { stdin, stdout, stderr, env, signals: process, exit: (code) => process.exit(code) }),
  )
  .then(end, (error: unknown) => {
    stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    if (env.HELVETIA_DEBUG === '1' && error instanceof Error) stderr.write(`${error.stack}\n`);
    end(1);
  });
