// Seeded numbers for the engine's tests.
import { seeded } from '../../lib/check/case.js';

/** Numbers of about a normal distribution. */
export function normal(count: number, seed: number, deviation: number): Float32Array {
  const random = seeded(seed);
  return Float32Array.from({ length: count }, () => {
    let sum = 0;
    for (let i = 0; i < 12; i++) sum += random();
    return (sum - 6) * deviation;
  });
}
