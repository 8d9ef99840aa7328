// Checkpoints of a run: one folder for each, written whole or not at all, with everything that decides the next step.
//
//   step-000120/
//     adapter_config.json, adapter_model.safetensors    the adapter in PEFT's format, usable as it is;
//     or model.safetensors                               where all weights are trained
//     optimizer.safetensors                              AdamW's moments and variances, f32
//     state.json                                         the step, the place in the data, what a resumed run must match
//
// Random numbers follow from the seed and the step, so they need no state.
import { existsSync } from 'node:fs';
import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { Tensor } from '../core/tensor.js';
import { makeFolder, writeAtomic, writeFolderAtomic } from '../files/atomic.js';
import { check, fileError, readJson } from '../files/json.js';
import { openSafetensors, type Safetensors, type SavedTensor, saveSafetensors } from '../files/safetensors.js';
import type { TrainStep } from './step.js';

const stateFile = 'state.json';
const optimizerFile = 'optimizer.safetensors';
const format = 1;

const stateSchema = z.looseObject({
  format: z.literal(format),
  step: z.number().int().min(0),
  steps: z.number().int().min(0),
  position: z.object({ epoch: z.number().int().min(0), row: z.number().int().min(0) }),
  base: z.string(),
  data: z.string(),
  options: z.record(z.string(), z.unknown()),
  untold: z.custom<TrainStep>((value) => typeof value === 'object' && value !== null).optional(),
});

export interface RunState {
  /** Steps done. */
  step: number;
  /** Steps in all. */
  steps: number;
  position: { epoch: number; row: number };
  /** The base model's fingerprint. */
  base: string;
  /** Fingerprint of the data; empty for streamed data. */
  data: string;
  /** The options that a resumed run must share. */
  options: Record<string, unknown>;
  /** The last step, where the run stopped before `onStep` reported it. */
  untold?: TrainStep | undefined;
}

/** The tensors of a run by the names that they have in a checkpoint. */
export interface RunTensors {
  /** `adapter_model.safetensors` or `model.safetensors`. */
  weightsFile: string;
  weights: ReadonlyMap<string, Tensor>;
  optimizer: ReadonlyMap<string, Tensor>;
  /** Other files, by name. */
  texts: Readonly<Record<string, string>>;
}

/** The name of a checkpoint's folder. */
export const checkpointFolder = (step: number): string => `step-${String(step).padStart(6, '0')}`;
/** The step of a checkpoint by its folder's name; undefined for other names. */
export const checkpointStep = (folder: string): number | undefined => {
  const step = /^step-(\d{6,})$/.exec(folder)?.[1];
  return step === undefined ? undefined : Number(step);
};
/** The folder of a step's checkpoint. */
export const checkpointPath = (directory: string, step: number): string => join(directory, checkpointFolder(step));
const leftoverPattern = /^\.step-\d{6,}\..*\.tmp$/;

/** The checkpoints in a folder, newest first. */
export async function listCheckpoints(directory: string): Promise<{ step: number; path: string }[]> {
  if (!existsSync(directory)) return [];
  const found: { step: number; path: string }[] = [];
  for (const name of await entries(directory)) {
    const step = checkpointStep(name);
    if (step !== undefined) found.push({ step, path: join(directory, name) });
  }
  return found.sort((a, b) => b.step - a.step);
}

async function entries(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    throw fileError(directory, error);
  }
}

/** Makes the folder, and removes half-written checkpoints of a killed run. */
export async function openCheckpoints(directory: string): Promise<void> {
  try {
    await makeFolder(directory);
    for (const name of await readdir(directory)) {
      if (leftoverPattern.test(name)) await rm(join(directory, name), { recursive: true, force: true });
    }
  } catch (error) {
    throw fileError(directory, error);
  }
}

/** Writes a checkpoint, then removes all but the newest `kept`. */
export async function saveCheckpoint(directory: string, state: RunState, tensors: RunTensors, kept = 2): Promise<void> {
  const weights = await bytesOf(tensors.weights);
  const optimizer = await bytesOf(tensors.optimizer);
  await writeFolderAtomic(checkpointPath(directory, state.step), async (folder) => {
    for (const [name, text] of Object.entries(tensors.texts)) await writeAtomic(join(folder, name), text);
    await saveSafetensors(join(folder, tensors.weightsFile), weights, { format: 'pt' });
    await saveSafetensors(join(folder, optimizerFile), optimizer);
    await writeAtomic(join(folder, stateFile), `${JSON.stringify({ format, ...state }, null, 2)}\n`);
  });
  for (const { step, path } of (await listCheckpoints(directory)).slice(kept)) {
    // A rename first, so that a half-removed checkpoint never looks complete.
    const doomed = join(directory, `.${checkpointFolder(step)}.old.tmp`);
    try {
      await rm(doomed, { recursive: true, force: true });
      await rename(path, doomed);
    } catch (error) {
      throw fileError(path, error);
    }
    // It counts as removed from here on: opening the folder removes what is left over.
    await rm(doomed, { recursive: true, force: true }).catch(() => {});
  }
}

async function bytesOf(tensors: ReadonlyMap<string, Tensor>): Promise<Map<string, SavedTensor>> {
  const out = new Map<string, SavedTensor>();
  for (const [name, x] of tensors) out.set(name, { dtype: 'F32', shape: x.shape, bytes: await x.bytes() });
  return out;
}

/**
 * Loads the newest complete checkpoint of `directory` into the tensors; undefined if there is none. A broken checkpoint
 * is skipped with a warning where an older one is complete.
 *
 * @throws Error that names the checkpoint: broken, of another model or data, or of a run with other options.
 */
export async function resumeCheckpoint(
  directory: string,
  expected: Pick<RunState, 'base' | 'data' | 'options'>,
  tensors: Omit<RunTensors, 'texts'>,
  warn: (message: string) => void,
): Promise<RunState | undefined> {
  const found = await listCheckpoints(directory);
  let failure: Error | undefined;
  for (const { path, step } of found) {
    const broken = restore(path, step, expected, tensors);
    if (!(broken instanceof BrokenCheckpoint)) {
      if (failure) warn(`${failure.message}; the run goes on from ${path}`);
      return broken;
    }
    failure ??= broken;
  }
  if (failure) throw new Error(`${failure.message}; no older checkpoint is whole`, { cause: failure });
  return undefined;
}

class BrokenCheckpoint extends Error {}

function restore(
  path: string,
  step: number,
  expected: Pick<RunState, 'base' | 'data' | 'options'>,
  tensors: Omit<RunTensors, 'texts'>,
): RunState | BrokenCheckpoint {
  const open: Safetensors[] = [];
  try {
    const file = join(path, stateFile);
    const state = attempt(() => check(file, stateSchema, readJson(file)));
    if (state.step !== step)
      throw new BrokenCheckpoint(`${file}: field 'step' must be ${step} in this folder, got ${state.step}`);
    sameRun(path, state, expected);
    const wanted = [
      [tensors.weightsFile, tensors.weights],
      [optimizerFile, tensors.optimizer],
    ] as const;
    const files = wanted.map(([name, list]) => {
      const file = attempt(() => openSafetensors(join(path, name)));
      open.push(file);
      attempt(() => sameTensors(file, list));
      return { file, list };
    });
    // Tensors are written only after every check has passed.
    for (const { file, list } of files) for (const [name, x] of list) x.write(floats(file.read(name)));
    return state;
  } catch (error) {
    if (error instanceof BrokenCheckpoint) return error;
    throw error;
  } finally {
    for (const file of open) file.close();
  }
}

function attempt<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw new BrokenCheckpoint(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function sameTensors(file: Safetensors, list: ReadonlyMap<string, Tensor>): void {
  for (const [name, x] of list) {
    const info = file.tensors.get(name);
    if (!info) throw new Error(`${file.path}: tensor '${name}' is missing`);
    if (info.dtype !== 'F32' || info.shape.join() !== x.shape.join()) {
      throw new Error(`${file.path}: tensor '${name}' is ${info.dtype} [${info.shape}], expected F32 [${x.shape}]`);
    }
  }
}

const floats = (bytes: Uint8Array): Float32Array =>
  bytes.byteOffset % 4 === 0
    ? new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
    : new Float32Array(bytes.slice().buffer);

function sameRun(path: string, state: RunState, expected: Pick<RunState, 'base' | 'data' | 'options'>): void {
  const advice = 'resume with what it was made with, or choose another checkpointDir';
  if (state.base !== expected.base)
    throw new Error(`${path}: is of another base model (${state.base}, not ${expected.base}); ${advice}`);
  for (const name of new Set([...Object.keys(state.options), ...Object.keys(expected.options)])) {
    const [then, now] = [state.options[name], expected.options[name]].map((value) => JSON.stringify(value) ?? 'unset');
    if (then !== now) throw new Error(`${path}: was made with ${name} ${then}, this run has ${now}; ${advice}`);
  }
  if (state.data !== expected.data)
    throw new Error(`${path}: was made with other data (${state.data}, not ${expected.data}); ${advice}`);
}
