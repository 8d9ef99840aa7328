// JSON Schema as a grammar. Properties come in the schema's order. Keywords that are not enforced are relaxed with a
// warning; so are schemas that are too large or too deep, which may be hostile.

import { annotations, isObject, type Schema, SchemaReader, typesOf, valuesOf, written } from './alternatives.js';
import { Unfit } from './automaton.js';
import { Budget } from './budget.js';
import { arrayOf, objectOf, type Property } from './containers.js';
import {
  choice,
  type Expression,
  isNothing,
  nothing,
  optional,
  type Rule,
  rule,
  sequence,
  sizeOf,
  text,
  words,
} from './expression.js';
import { formatOf } from './formats.js';
import * as json from './json.js';
import { keyNotAmong } from './keys.js';
import { ofLength } from './lengths.js';
import { Grammar } from './machine.js';
import { integersBetween, numbersBetween, ordinary } from './numbers.js';
import { patternExpression } from './pattern.js';

export interface CompiledSchema {
  grammar: Grammar;
  /** What of the schema is not enforced, in a sentence each. */
  warnings: string[];
}

/** An answer's first token often begins with a space. */
export const leadingSpace: Expression = optional(text(' '));

/** Texts that fit a JSON Schema. Never rejects for a value that came from JSON. */
export async function compileJsonSchema(schema: unknown): Promise<CompiledSchema> {
  const budget = new Budget();
  const { expression, warnings } = await schemaExpression(schema, budget);
  return compiled(sequence(leadingSpace, expression), warnings, sequence(leadingSpace, json.value), budget);
}

/** Any JSON object. */
export async function compileJsonObject(): Promise<CompiledSchema> {
  const object = sequence(leadingSpace, json.object);
  return compiled(object, [], object, new Budget());
}

/** The expression as a grammar, or the other one where it is too large or nothing matches it. */
export async function compiled(
  expression: Expression,
  warnings: string[],
  otherwise: Expression,
  { slice }: Budget,
): Promise<CompiledSchema> {
  try {
    return { grammar: await Grammar.of(expression, slice), warnings };
  } catch (error) {
    if (!(error instanceof Unfit)) throw error;
    const grammar = await Grammar.of(otherwise, slice);
    return { grammar, warnings: [...warnings, `${error.message}: it is not enforced`] };
  }
}

/** The expression of a schema, to be used within others. */
export async function schemaExpression(
  schema: unknown,
  budget: Budget,
): Promise<{ expression: Expression; warnings: string[] }> {
  const compiler = new SchemaCompiler(schema, budget);
  const expression = await compiler.compile(schema);
  return { expression, warnings: [...compiler.warnings] };
}

/** The largest length that is counted: it costs no states, and no answer is longer. */
const mostCounted = 1_000_000;
const mostProperties = 1000;
/** Keys of all alternatives together: each is a place that the machine must follow at once. */
const mostKeys = 4000;
/** Characters of the names that other keys must differ from: a state each. */
const mostNames = 8000;
const mostWarnings = 16;
const patternStates = 4000;

const understood = new Set(
  (
    'type properties required additionalProperties items prefixItems additionalItems minItems maxItems enum const ' +
    'minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf'
  ).split(' '),
);

class SchemaCompiler {
  readonly warnings = new Set<string>();
  private readonly reader: SchemaReader;
  /** Each schema is built once, outer ones first. */
  private readonly rules = new Map<Schema, Rule>();
  private readonly patterns = new Map<string, Expression | undefined>();

  constructor(
    root: unknown,
    private readonly budget: Budget,
  ) {
    this.reader = new SchemaReader(root, (warning) => this.warn(warning));
  }

  async compile(root: unknown): Promise<Expression> {
    const { slice } = this.budget;
    const expression = this.expression(root);
    for (const [schema, own] of this.rules) {
      own.expression = this.within(schema);
      if (slice.over) await slice.pause();
    }
    return expression;
  }

  private warn(warning: string): void {
    if (this.warnings.size < mostWarnings) this.warnings.add(warning);
  }

  /** A rule that is to be known later. */
  private expression(schema: unknown): Expression {
    if (!isObject(schema)) return this.reader.alternatives(schema).length > 0 ? json.value : nothing;
    let own = this.rules.get(schema);
    if (!own) {
      own = { expression: undefined };
      this.rules.set(schema, own);
    }
    return { kind: 'rule', rule: own };
  }

  /** The schema's expression, or any JSON value where the budget is spent. */
  private within(schema: Schema): Expression {
    try {
      if (this.budget.left === 0) throw tooMany;
      const expression = this.schema(schema);
      if (!this.budget.spend(expression)) throw tooMany;
      return expression;
    } catch (error) {
      if (!(error instanceof Unfit)) throw error;
      this.warn(`${error.message}: not all of it is enforced`);
      return json.value;
    }
  }

  private schema(schema: Schema): Expression {
    const constants: unknown[] = [];
    const parts: Expression[] = [];
    const alternatives = this.reader.alternatives(schema);
    const keys = alternatives.reduce((sum, { properties }) => sum + Object.keys(properties ?? {}).length, 0);
    if (keys > mostKeys) throw new Unfit('alternatives have too many properties');
    for (const found of alternatives) {
      const values = valuesOf(found);
      if (values) constants.push(...this.constants(found, values));
      else parts.push(found === schema ? this.plain(schema) : this.expression(found));
    }
    return constants.length > 0 ? choice(this.oneOf(constants), ...parts) : choice(...parts);
  }

  /** A schema without references and combinations. */
  private plain(schema: Schema): Expression {
    this.warnOfUnknown(schema);
    const types = schema.type === undefined ? [impliedType(schema)] : typesOf(schema);
    return choice(...types.map((type) => this.typed(type, schema)));
  }

  private warnOfUnknown(schema: Schema): void {
    for (const name of Object.keys(schema)) {
      if (!understood.has(name) && !annotations.has(name)) this.warn(`${named(name)} is not enforced`);
    }
  }

  private constants(schema: Schema, values: readonly unknown[]): unknown[] {
    this.warnOfUnknown(schema);
    const others = Object.keys(schema).filter(
      (name) => !['const', 'enum', 'type'].includes(name) && understood.has(name),
    );
    if (others.length > 0) this.warn('keywords beside "enum" and "const" other than "type" are not enforced');
    if (schema.type === undefined) return [...values];
    const types = typesOf(schema);
    return values.filter((value) => types.some((type) => isOfType(value, type)));
  }

  private oneOf(values: readonly unknown[]): Expression {
    let size = 0;
    const texts: string[] = [];
    for (const value of values) {
      texts.push(written(value));
      size += texts.at(-1)!.length;
      if (size > this.budget.left) {
        this.warn('an "enum" is too long: only its type is enforced');
        return values.every((other) => typeof other === 'string') ? json.anyString : json.value;
      }
    }
    return words(texts);
  }

  private typed(type: string, schema: Schema): Expression {
    switch (type) {
      case 'object':
        return this.object(schema);
      case 'array':
        return this.array(schema);
      case 'string':
        return this.string(schema);
      case 'integer':
      case 'number':
        return this.number(type, schema);
      case 'boolean':
        return json.boolean;
      case 'null':
        return json.nil;
      case 'any':
        return json.value;
      default:
        this.warn(`the type ${named(type)} is not known`);
        return json.value;
    }
  }

  private object(schema: Schema): Expression {
    const properties = isObject(schema.properties) ? schema.properties : {};
    const required = new Set(Array.isArray(schema.required) ? schema.required.map(String) : []);
    const names = [...new Set([...Object.keys(properties), ...required])];
    if (names.length > mostProperties) {
      this.warn(`an object with more than ${mostProperties} properties is not enforced`);
      return json.object;
    }
    // Without the keyword, others are offered only where no properties are described: a schema that lists them, or that
    // there are none, wants these.
    const others = schema.additionalProperties ?? (names.length === 0 && !isObject(schema.properties));
    const named = names.map((name): Property => {
      const value = this.expression(Object.hasOwn(properties, name) ? properties[name] : others || true);
      return { name, value, required: required.has(name) };
    });
    if (others === false) return objectOf(named, nothing, nothing);
    if (names.reduce((sum, { length }) => sum + length, 0) > mostNames) {
      this.warn('"additionalProperties" beside so many named ones are left out');
      return objectOf(named, nothing, nothing);
    }
    return objectOf(named, keyNotAmong(names), this.expression(others));
  }

  private array(schema: Schema): Expression {
    const given = [schema.prefixItems, schema.items].find((items) => Array.isArray(items)) ?? [];
    const others = (Array.isArray(schema.items) ? schema.additionalItems : schema.items) ?? true;
    const min = this.count(schema, 'minItems', 0);
    const max = this.count(schema, 'maxItems', Number.POSITIVE_INFINITY);
    if (min > max) return nothing;
    if (given.length > mostProperties) {
      this.warn(`an array with more than ${mostProperties} kinds of items is not enforced`);
      return json.array;
    }
    return arrayOf(
      given.map((item) => this.expression(item)),
      this.expression(others),
      min,
      max,
    );
  }

  private string(schema: Schema): Expression {
    const min = this.count(schema, 'minLength', 0);
    const max = this.count(schema, 'maxLength', Number.POSITIVE_INFINITY);
    const { pattern, format } = schema;
    const formatted = formatOf(format);
    if (format !== undefined && !formatted) this.warn(`the format ${named(format)} is not enforced`);
    if (min > max) return nothing;
    const counts = min > 0 || Number.isFinite(max);
    let matching = (counts ? formatted?.counted : undefined) ?? formatted?.text;
    if (typeof pattern === 'string') {
      if (formatted) this.warn('"format" beside "pattern" is not enforced');
      matching = this.pattern(pattern);
      if (!matching) this.warn(`the pattern ${named(pattern)} is not enforced`);
    }
    if (!matching) return json.string(min, max);
    const inside = ofLength(matching, min, max);
    if (!inside) this.warn('"minLength" and "maxLength" beside so long a "pattern" or "format" are not enforced');
    return sequence(text('"'), inside ?? matching, text('"'));
  }

  /** The inside of the string. Undefined where a pattern is not understood, too large, or matches nothing. */
  private pattern(source: string): Expression | undefined {
    if (!this.patterns.has(source)) {
      const inside = patternExpression(source);
      const fits = inside && sizeOf(inside, new Set()) <= patternStates && !isNothing(inside);
      this.patterns.set(source, fits ? rule(inside) : undefined);
    }
    return this.patterns.get(source);
  }

  private number(type: 'integer' | 'number', schema: Schema): Expression {
    const bound = (name: string, side: 'low' | 'high'): number | undefined => {
      const value = schema[name];
      if (value === undefined) return undefined;
      const kept = typeof value === 'number' ? ordinary(value, side) : undefined;
      if (kept !== value) this.warn(`${named(name)} that is no number of ordinary size is not enforced`);
      return kept;
    };
    const [minimum, maximum] = [bound('minimum', 'low'), bound('maximum', 'high')];
    const [above, below] = [bound('exclusiveMinimum', 'low'), bound('exclusiveMaximum', 'high')];
    const multiple = schema.multipleOf;
    const whole = type === 'integer' || multiple === 1;
    if (multiple !== undefined && multiple !== 1) this.warn('"multipleOf" is not enforced');
    if ([minimum, maximum, above, below].every((value) => value === undefined))
      return whole ? json.integer : json.number;
    const lowOpen = above !== undefined && above >= (minimum ?? above) && above === schema.exclusiveMinimum;
    const highOpen = below !== undefined && below <= (maximum ?? below) && below === schema.exclusiveMaximum;
    const low = lowOpen ? above : (minimum ?? above);
    const high = highOpen ? below : (maximum ?? below);
    return (whole ? integersBetween : numbersBetween)({ low, high, lowOpen, highOpen });
  }

  /** A count that the keyword gives, where it is one that can be kept. */
  private count(schema: Schema, name: string, otherwise: number): number {
    const value = schema[name];
    if (value === undefined) return otherwise;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= mostCounted) return value;
    this.warn(`"${name}" is not enforced: it is no whole number up to ${mostCounted}`);
    return otherwise;
  }
}

const tooMany = new Unfit('the schema has too many parts');

function impliedType(schema: Schema): string {
  const has = (...names: string[]): boolean => names.some((name) => schema[name] !== undefined);
  if (has('properties', 'required', 'additionalProperties')) return 'object';
  if (has('items', 'prefixItems', 'minItems', 'maxItems')) return 'array';
  if (has('pattern', 'minLength', 'maxLength', 'format')) return 'string';
  if (has('minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf')) return 'number';
  return 'any';
}

function isOfType(value: unknown, type: string): boolean {
  if (type === 'null') return value === null;
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  if (type === 'integer') return Number.isInteger(value);
  return typeof value === type;
}

/** A name from the schema, fit for a warning in a header. */
function named(value: unknown): string {
  const shown = JSON.stringify(String(value).slice(0, 60));
  return shown.replace(/[^\x20-\x7e]/g, '?');
}
