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
    return native.idle();
  }

  toString(): string {
    return this.index === 0 ? this.name : `${this.name}:${this.index}`;
  }
}

const cpu = new Device('cpu', 0);

/**
 * The device of that name. `'auto'` takes CUDA where it can be used, else the CPU.
 *
 * @throws Error if the name is not known, or if it asks for CUDA and CUDA cannot be used, with the reason.
 */
export function device(name: string | Device = 'auto'): Device {
  if (name instanceof Device) return name;
  if (name === 'cpu' || name === 'auto') return cpu;
  if (/^cuda(:\d+)?$/.test(name)) throw new Error(`device '${name}': ${cudaAbsence()}`);
  throw new Error(`device '${name}' is not known: expected 'auto', 'cpu' or 'cuda'`);
}

/** Why CUDA cannot be used in this process, in one sentence; empty where it can. */
export function cudaAbsence(): string {
  return native.cudaAbsence();
}

/** The CPU path in use (`'avx512'`, …), every path that this machine runs, and the number of threads. */
export function cpuInfo(): { path: string; threads: number; paths: string[] } {
  return native.cpuInfo();
}

/** Bytes that tensors hold on the CPU: in use, the peak since the start or `resetPeak()`, and kept for reuse. */
export function memory(): MemoryUse {
  return native.memory();
}

export function resetPeak(): void {
  native.resetPeak();
}

/** Gives the bytes kept for reuse back to the system. */
export function trimMemory(): void {
  native.trim();
}
