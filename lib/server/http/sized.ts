// Schemas of lists and objects whose size is checked before their entries, which may be too many to be looked at.
import { z } from 'zod';

/** An array whose length is checked before its entries are. */
export function list<T extends z.ZodType>(entry: T, most: number, least = 0) {
  const sized = z.custom<unknown[]>((value) => Array.isArray(value) && value.length >= least && value.length <= most, {
    error: ({ input }) => {
      if (!Array.isArray(input))
        return `Invalid input: expected array, received ${input === undefined ? input : typeof input}`;
      return `has ${input.length} entries, expected ${least} to ${most}`;
    },
  });
  return sized.pipe(z.array(entry));
}

/** An object of any keys whose number is checked before its values are. */
export function record<T extends z.ZodType>(value: T, most: number, key = z.string()) {
  const sized = z.custom<Record<string, unknown>>(
    (given) =>
      typeof given === 'object' && given !== null && !Array.isArray(given) && Object.keys(given).length <= most,
    { error: `expected an object of at most ${most} entries` },
  );
  return sized.pipe(z.record(key, value));
}

/** An object of any keys and values, which are not looked at: such as a JSON Schema. */
export const anyObject = z.custom<Record<string, unknown>>(
  (given) => typeof given === 'object' && given !== null && !Array.isArray(given),
  { error: 'expected an object' },
);
