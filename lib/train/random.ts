// Random numbers by counter: the same arguments give the same number, so that a resumed run draws what the first one
// would have drawn, without any state to keep. (Murmur3's mixing steps over all arguments.)

/** 32 well-mixed bits from any non-negative integers. */
export function mix(...parts: readonly number[]): number {
  let hash = 0x9e3779b9;
  for (const part of parts) {
    hash = step(hash, part % 2 ** 32);
    hash = step(hash, Math.floor(part / 2 ** 32));
  }
  return hash >>> 0;
}

function step(hash: number, value: number): number {
  let h = Math.imul(hash ^ value, 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) + 0x9e3779b9;
}

/** An integer from 0 to `below` - 1. */
export function drawn(below: number, ...parts: readonly number[]): number {
  return Math.floor((mix(...parts) / 2 ** 32) * below);
}
