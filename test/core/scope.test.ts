// What a scope holds: only tensors that live, and nothing once it has closed.
import { describe, expect, it } from 'vitest';
import { keep, scope } from '../../lib/core/scope.js';
import { type Tensor, tensor } from '../../lib/core/tensor.js';
import { testDevice as device } from '../device.js';

describe('a scope', () => {
  it('lets go of what is disposed of inside', () => {
    scope(() => {
      const x = tensor([1], { device });
      const held = x.madeIn!;
      expect(held.has(x)).toBe(true);
      for (let i = 0; i < 100; i++) tensor([i], { device }).dispose();
      expect(held.size).toBe(1);
      keep(x);
      expect(held.size).toBe(0);
      x.dispose();
    });
  });

  it('that has closed leaves what is made later to the one outside', async () => {
    let late: Tensor | undefined;
    let after: Promise<void> | undefined;
    await scope(async () => {
      scope(() => {
        after = (async () => {
          await null;
          late = tensor([1], { device });
        })();
      });
      await after;
      expect(late!.disposed).toBe(false);
    });
    expect(late!.disposed).toBe(true);
    await scope(async () => {
      after = new Promise((resolve) => setTimeout(resolve, 5)).then(() => {
        late = tensor([1], { device });
      });
    });
    await after;
    expect(late!.madeIn).toBeUndefined();
    late!.dispose();
  });

  it('hands on what it returns', () => {
    const x = scope(() => {
      const y = scope(() => tensor([1], { device }));
      expect(y.madeIn!.has(y)).toBe(true);
      return y;
    });
    expect(x.disposed).toBe(false);
    expect(x.madeIn).toBeUndefined();
    x.dispose();
  });
});
