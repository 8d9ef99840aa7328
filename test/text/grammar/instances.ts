// Random values that fit a schema, with the properties in the schema's order.

type Schema = Record<string, unknown>;

const texts = ['', 'a', 'Grüße', '中文字', 'a "quote"', 'back\\slash', 'line\nbreak', '🙂', 'tab\t.', 'x'.repeat(40)];

/** Of the keywords that `randomSchema` makes, references within the document, and tuples. */
export function instanceOf(schema: Schema, root: Schema, random: () => number, depth = 0): unknown {
  const below = (count: number): number => Math.floor(random() * count);
  const inside = (part: unknown): unknown => instanceOf((part ?? {}) as Schema, root, random, depth + 1);
  const { $ref, anyOf, type, pattern } = schema as {
    $ref?: string;
    anyOf?: Schema[];
    type?: unknown;
    pattern?: string;
  };
  if ($ref) return inside(resolved($ref, root));
  if (anyOf) return inside(depth > 12 ? anyOf.at(-1) : anyOf[below(anyOf.length)]);
  if (Array.isArray(schema.enum)) return schema.enum[below(schema.enum.length)];
  if ('const' in schema) return schema.const;
  const types = Array.isArray(type)
    ? type
    : [type ?? (depth > 2 ? 'null' : ['array', 'object', 'string', 'number'][below(4)])];
  switch (types[below(types.length)]) {
    case 'null':
      return null;
    case 'boolean':
      return random() < 0.5;
    case 'integer':
    case 'number':
      return numberOf(schema, types.includes('integer'), random);
    case 'string':
      return pattern ? matching(pattern, random) : stringOf(schema, random);
    case 'array': {
      const {
        minItems = 0,
        maxItems = 30,
        prefixItems = [],
        items,
      } = schema as {
        minItems?: number;
        maxItems?: number;
        prefixItems?: unknown[];
        items?: unknown;
      };
      const count = minItems + below(Math.min(maxItems - minItems, 6) + 1);
      return Array.from({ length: count }, (_, i) => inside(prefixItems[i] ?? items));
    }
    default: {
      const {
        properties = {},
        required = [],
        additionalProperties = false,
      } = schema as {
        properties?: Schema;
        required?: string[];
        additionalProperties?: unknown;
      };
      const names = Object.keys(properties).filter((name) => required.includes(name) || random() < 0.5);
      const value = Object.fromEntries(names.map((name) => [name, inside(properties[name])]));
      if (additionalProperties === false) return value;
      for (const name of ['other', 'na', 'éé', 'a', '中']) {
        if (!Object.hasOwn(properties, name) && random() < 0.5) value[name] = inside(additionalProperties);
      }
      return value;
    }
  }
}

function resolved(reference: string, root: Schema): unknown {
  return reference
    .split('/')
    .slice(1)
    .reduce<unknown>((at, name) => (at as Schema)[name], root);
}

/** Bounds themselves, values next to them, and any between. */
function numberOf(schema: Schema, whole: boolean, random: () => number): number {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum } = schema as Record<string, number | undefined>;
  const low = minimum ?? exclusiveMinimum ?? (maximum ?? exclusiveMaximum ?? 0) - 500;
  const high = maximum ?? exclusiveMaximum ?? low + 1000;
  const decimals = whole ? 0 : Math.floor(random() * 6);
  const tries = [minimum, maximum, low + 10 ** -decimals, high - 10 ** -decimals];
  for (;;) {
    const tried = random() < 0.4 ? tries[Math.floor(random() * 4)] : low + random() * (high - low);
    if (tried === undefined) continue;
    const value = Number(tried.toFixed(Math.max(decimals, tried === minimum || tried === maximum ? 6 : 0)));
    const inside = value >= low && value <= high && value !== exclusiveMinimum && value !== exclusiveMaximum;
    if (inside && !Object.is(value, -0) && (!whole || Number.isInteger(value)) && !/e/.test(String(value)))
      return value;
  }
}

function stringOf(schema: Schema, random: () => number): string {
  const { minLength = 0, maxLength = minLength + 60 } = schema as { minLength?: number; maxLength?: number };
  const count = minLength + Math.floor(random() * (maxLength - minLength + 1));
  let text: string[] = [];
  while (text.length < count) text = [...text, ...(texts[Math.floor(random() * texts.length)] || 'b')];
  return text.slice(0, count).join('');
}

/** For the patterns of `randomSchema`. */
function matching(pattern: string, random: () => number): string {
  const tried = ['abc', 'f', 'deadbeef', '12', '123', '12x', '123xyz "q"', 'yes', 'no', 'ABC', 'Ü中"', '\\\n!'];
  const fitting = tried.filter((text) => new RegExp(pattern, 'u').test(text));
  return fitting[Math.floor(random() * fitting.length)]!;
}
