// Random JSON Schemas from a seed, of keywords that are enforced without a warning.

/** Numbers in [0, 1) that depend on the seed only. */
export function seeded(seed: number): () => number {
  let state = seed * 0x9e3779b1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const names = ['name', 'age', 'a b', 'é', 'na"me', 'tags', '', 'n'];

export function randomSchema(random: () => number, depth = 0): Record<string, unknown> {
  const below = (count: number): number => Math.floor(random() * count);
  const maybe = (entries: Record<string, unknown>): Record<string, unknown> => (random() < 0.5 ? entries : {});
  const kind = below(depth >= 3 ? 6 : 9);
  switch (kind) {
    case 0: {
      const min = below(4);
      return { type: 'string', ...maybe({ minLength: min }), ...maybe({ maxLength: min + below(6) }) };
    }
    case 1: {
      const low = below(400) - 200;
      return { type: 'integer', ...maybe({ minimum: low }), ...maybe({ maximum: low + below(1000) }) };
    }
    case 2:
      return { type: 'number', ...maybe({ minimum: below(20) - 10 }), ...maybe({ exclusiveMaximum: 10 + below(20) }) };
    case 3:
      return { type: ['boolean', 'null'] };
    case 4:
      return { enum: ['red', 'green "light"', below(100), null, [1, { a: below(9) }]].slice(below(4)) };
    case 5:
      return { type: 'string', pattern: ['^[a-f]+$', '^\\d{2,3}x?', '^(yes|no|[^a-z]{3})$'][below(3)]! };
    case 6: {
      const chosen = names.filter(() => random() < 0.5);
      return {
        type: 'object',
        properties: Object.fromEntries(chosen.map((name) => [name, randomSchema(random, depth + 1)])),
        required: chosen.filter(() => random() < 0.6),
        additionalProperties: random() < 0.3 ? randomSchema(random, depth + 1) : false,
      };
    }
    case 7: {
      const min = below(3);
      return {
        type: 'array',
        items: randomSchema(random, depth + 1),
        ...maybe({ minItems: min, maxItems: min + below(3) }),
      };
    }
    default:
      return { anyOf: [randomSchema(random, depth + 1), randomSchema(random, depth + 1)] };
  }
}
