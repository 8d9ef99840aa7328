// Devices: where a tensor's bytes are and its ops run.
import { type MemoryUse, native } from './native.js';

export type DeviceName = 'cpu' | 'cuda';

/** A device that computes. Get one by `device('cpu')`; there is one object per device, so `===` compares. */
export class Device {
  constructor(
    readonly name: DeviceName,
    readonly index: number,
  ) {}

  /** The number by which the addon knows the device's kind. */
  get kind(): number {
    return this.name === 'cpu' ? 0 : 1;
  }

  /**
   * Waits for every op queued so far.
   *
   * @throws Error (as a rejection) with the first failure since the last call, and its kernel's name.
   */
  idle(): Promise<void> {
    return native.idle(this.kind, this.index);
  }

  toString(): string {
    return this.index === 0 ? this.name : `${this.name}:${this.index}`;
  }
}

const cpu = new Device('cpu', 0);
const gpus: Device[] = [];

/**
 * The device of that name: `'cpu'`, `'cuda'` (the first GPU that works), `'cuda:1'`, … `'auto'` takes the first GPU that
 * works, else the CPU; `whyCpu()` says why. HELVETIA_GPU=off keeps `'auto'` on the CPU.
 *
 * @throws Error if the name is not known, or if it asks for CUDA and CUDA cannot be used, with the reason.
 */
export function device(name: string | Device = 'auto'): Device {
  if (name instanceof Device) return name;
  if (name === 'cpu') return cpu;
  if (name === 'auto') return whyCpu() ? cpu : gpu('auto', 0);
  const index = /^cuda(?::(\d{1,3}))?$/.exec(name);
  if (!index) throw new Error(`device '${name}' is not known: expected 'auto', 'cpu', 'cuda' or 'cuda:1'`);
  return gpu(name, Number(index[1] ?? 0));
}

function gpu(name: string, index: number): Device {
  const count = cudaCount();
  if (count === 0) throw new Error(`device '${name}': ${cudaAbsence()}`);
  if (index >= count) throw new Error(`device '${name}': this machine has ${count} GPU${count === 1 ? '' : 's'}`);
  gpus[index] ??= new Device('cuda', index);
  return gpus[index];
}

/** Why CUDA cannot be used in this process, in one sentence; empty where it can. */
export function cudaAbsence(): string {
  return native.cudaAbsence();
}

/** Why `'auto'` takes the CPU in this process, in one sentence; empty where it takes a GPU. */
export function whyCpu(): string {
  return process.env.HELVETIA_GPU === 'off' ? 'HELVETIA_GPU=off keeps to the CPU' : cudaAbsence();
}

/** Which GPUs of this machine have no number, because CUDA cannot be used on them, and why; empty where all have one. */
export function cudaPassedOver(): string {
  return native.cudaPassedOver();
}

/** The number of GPUs that can be used: 0 where `cudaAbsence()` says something. */
export function cudaCount(): number {
  return native.cudaCount();
}

/**
 * What GPU `index` is: its name, compute capability, multiprocessors, bytes of memory, and how many replays of
 * recordings have run there as a CUDA graph.
 *
 * @throws Error where that GPU cannot be used.
 */
export function cudaInfo(index = 0): ReturnType<typeof native.cudaInfo> {
  return native.cudaInfo(index);
}

/** The CPU path in use (`'avx512'`, …), every path that this machine runs, and the number of threads. */
export function cpuInfo(): { path: string; threads: number; paths: string[] } {
  return native.cpuInfo();
}

/** Bytes that tensors hold on a device: in use, the peak since the start or `resetPeak()`, and kept for reuse. */
export function memory(of: string | Device = 'auto'): MemoryUse {
  const { kind, index } = device(of);
  return native.memory(kind, index);
}

export function resetPeak(of: string | Device = 'auto'): void {
  const { kind, index } = device(of);
  native.resetPeak(kind, index);
}

/** Gives the bytes kept for reuse back to the system. */
export function trimMemory(of: string | Device = 'auto'): void {
  const { kind, index } = device(of);
  native.trim(kind, index);
}
