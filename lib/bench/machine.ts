// What a speed is measured on.
import { cpus, totalmem } from 'node:os';
import { cpuInfo } from '../core/device.js';

export interface Machine {
  cpu: string;
  cores: number;
  memoryBytes: number;
  platform: string;
  node: string;
  /** The kernels' instruction set. */
  path: string;
  threads: number;
}

export function machine(): Machine {
  const { path, threads } = cpuInfo();
  const found = cpus();
  return {
    cpu: found[0]?.model.trim() ?? 'unknown',
    cores: found.length,
    memoryBytes: totalmem(),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    path,
    threads,
  };
}
