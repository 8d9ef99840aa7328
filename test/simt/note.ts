// Before each file on the GPU in software: where it notes what it launches. launches.test.ts reads the notes.
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { expect } from 'vitest';
import { noteOf } from './notes.js';

const note = noteOf(process.env.HELVETIA_SIMT_PROJECT!, expect.getState().testPath!);
mkdirSync(dirname(note), { recursive: true });
writeFileSync(note, ''); // a file may launch nothing
process.env.HELVETIA_SIMT_LAUNCHES = note;
