// Philox4x32-10 in TypeScript: the reference for the random numbers of the devices.

/** The four words of the block at `counter` under `key`, both as 32-bit words, lowest first. */
export function philoxBlock(counter: readonly number[], key: readonly number[]): number[] {
  let [a, b, c, d] = counter as [number, number, number, number];
  let [key0, key1] = key as [number, number];
  for (let round = 0; round < 10; round++) {
    const p = 0xd2511f53n * BigInt(a);
    const q = 0xcd9e8d57n * BigInt(c);
    [a, b, c, d] = [(high(q) ^ b ^ key0) >>> 0, low(q), (high(p) ^ d ^ key1) >>> 0, low(p)];
    key0 = (key0 + 0x9e3779b9) >>> 0;
    key1 = (key1 + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

const high = (n: bigint): number => Number(n >> 32n);
const low = (n: bigint): number => Number(n & 0xffffffffn);
const halves = (n: number): [number, number] => [n >>> 0, Math.floor(n / 2 ** 32) >>> 0];

/** The same for a whole number as seed and one as counter. */
export const philoxWords = (seed: number, counter: number): number[] =>
  philoxBlock([...halves(counter), 0, 0], halves(seed));
