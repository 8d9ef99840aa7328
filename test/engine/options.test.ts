// The engine's options where they follow from the machine.
import { expect, it, vi } from 'vitest';
import { Device } from '../../lib/core/device.js';
import { engineSettings } from '../../lib/engine/options.js';
import type { Decoder } from '../../lib/models/decoder.js';
import { blockBytes, memoryPlan } from '../../lib/models/memory.js';
import type { BlockMemory } from '../../lib/parts/memory.js';

vi.mock('../../lib/core/device.js', async (load) => ({
  ...(await load<object>()),
  cudaInfo: (index: number) => ({ freeBytes: [2 ** 31, 2 ** 20][index]! }),
}));

const memory = (): BlockMemory => ({ kind: 'blocks', kvHeads: 8, headDim: 128, window: undefined });
const config = { contextLength: 131_072, layers: Array.from({ length: 32 }, () => ({ memory: [memory()] })) };
const on = (device: Device): Decoder => ({ config, device, dtype: 'bf16' }) as unknown as Decoder;

it('the cache on a GPU is sized by what that GPU has left, not by the host', () => {
  const { blocks } = engineSettings({}, on(new Device('cuda', 0))).groups[0]!;
  const bytes = blocks * blockBytes(memoryPlan(on(new Device('cuda', 0)).config).groups[0]!, 'bf16');
  expect(bytes).toBeGreaterThan(2 ** 28);
  expect(bytes).toBeLessThanOrEqual(2 ** 29);
  expect(() => engineSettings({}, on(new Device('cuda', 1)))).toThrow('no room for one block');
  expect(engineSettings({ cacheBytes: bytes }, on(new Device('cuda', 1))).groups[0]!.blocks).toBe(blocks);
});

it('a step always has room for a piece of a prompt beside a full batch', () => {
  const step = (options: object): number => engineSettings(options, on(new Device('cuda', 0))).stepTokens;
  expect(step({})).toBe(256);
  expect(step({ maxBatch: 300 })).toBe(302);
  expect(step({ maxBatch: 8, stepTokens: 4 })).toBe(10);
});
