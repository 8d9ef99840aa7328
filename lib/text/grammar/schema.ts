// JSON Schema as a grammar. Properties come in the schema's order. What a grammar can't say, or this one doesn't, is
// relaxed with a warning; so are schemas too large or too deep, however hostile.

import { isObject, type Schema, SchemaReader, typesOf, valuesOf } from './alternatives.js';
import { Automaton, TooLarge } from './automaton.js';
import {
  choice,
  type Expression,
  empty,
  nothing,
  optional,
  type Rule,
  repeat,
  rule,
  sequence,
  text,
} from './expression.js';
import { formatPatterns } from './formats.js';
import * as json from './json.js';
import { keyNotAmong } from './keys.js';
import { Grammar } from './machine.js';
import { integersBetween, numbersBetween } from './numbers.js';
import { patternExpression } from './pattern.js';

export interface CompiledSchema {
  grammar: Grammar;
  /** What of the schema is not enforced, in a sentence each. */
  warnings: string[];
}

/** Texts that fit a JSON Schema. Never throws for a value that came from JSON. */
export function compileJsonSchema(schema: unknown): CompiledSchema {
  const { expression, warnings } = schemaExpression(schema);
  return compiled(expression, warnings, json.value);
}

/** Any JSON object. */
export function compileJsonObject(): CompiledSchema {
  return { grammar: new Grammar(sequence(optional(text(' ')), json.object)), warnings: [] };
}

/** The expression as a grammar, or the other one where it is too large or nothing matches it. */
export function compiled(expression: Expression, warnings: string[], otherwise: Expression): CompiledSchema {
  const led = (body: Expression): Expression => sequence(optional(text(' ')), body);
  try {
    return { grammar: new Grammar(led(expression)), warnings };
  } catch (error) {
    const why = error instanceof TooLarge ? 'the schema is too large' : 'nothing fits the schema';
    return { grammar: new Grammar(led(otherwise)), warnings: [...warnings, `${why}: it is not enforced`] };
  }
}

/** The expression of a schema, to be used within others. */
export function schemaExpression(schema: unknown): { expression: Expression; warnings: string[] } {
  const compiler = new SchemaCompiler(schema);
  try {
    const expression = compiler.expression(schema, 0);
    return { expression, warnings: [...compiler.warnings] };
  } catch (error) {
    // A constant may be nested deeper than JSON.stringify goes.
    if (!(error instanceof RangeError)) throw error;
    return { expression: json.value, warnings: ['the schema is nested too deep: it is not enforced'] };
  }
}

const mostDepth = 64;
const mostSchemas = 3000;
const mostCounted = 2000;
const mostProperties = 1000;
const mostWarnings = 16;
const patternStates = 4000;

const annotations = new Set(
  (
    'title description default examples example $schema $id $comment $anchor $defs definitions deprecated readOnly ' +
    'writeOnly contentMediaType contentEncoding strict nullable discriminator'
  ).split(' '),
);
const understood = new Set(
  (
    'type properties required additionalProperties items prefixItems additionalItems minItems maxItems enum const ' +
    'minLength maxLength pattern format minimum maximum exclusiveMinimum exclusiveMaximum multipleOf'
  ).split(' '),
);

class SchemaCompiler {
  readonly warnings = new Set<string>();
  private readonly reader: SchemaReader;
  private readonly known = new Map<object, Rule>();
  private schemas = 0;

  constructor(root: unknown) {
    this.reader = new SchemaReader(root, (warning) => this.warn(warning));
  }

  private warn(warning: string): void {
    if (this.warnings.size < mostWarnings) this.warnings.add(warning);
  }

  expression(schema: unknown, depth: number): Expression {
    if (!isObject(schema)) return choice(...this.reader.alternatives(schema).map(() => json.value));
    const known = this.known.get(schema);
    if (known) return { kind: 'rule', rule: known };
    if (depth > mostDepth || this.schemas >= mostSchemas) {
      this.warn('what is nested too deep, or comes after too many schemas, is not enforced');
      return json.value;
    }
    this.schemas += 1;
    const own = rule();
    this.known.set(schema, own.rule);
    const only = Object.keys(schema).every((name) => name === '$ref' || annotations.has(name));
    own.rule.expression =
      only && schema.$ref !== undefined
        ? this.expression(this.reader.target(schema.$ref), depth + 1)
        : choice(...this.reader.alternatives(schema).map((plain) => this.plain(plain, depth + 1)));
    return own;
  }

  /** A schema without references and combinations. */
  private plain(schema: Schema, depth: number): Expression {
    for (const name of Object.keys(schema)) {
      if (!understood.has(name) && !annotations.has(name)) this.warn(`${named(name)} is not enforced`);
    }
    const values = valuesOf(schema);
    if (values) return this.constants(schema, values);
    const types = schema.type === undefined ? [impliedType(schema)] : typesOf(schema);
    return choice(...types.map((type) => this.typed(type, schema, depth)));
  }

  private constants(schema: Schema, values: readonly unknown[]): Expression {
    const others = Object.keys(schema).filter(
      (name) => !['const', 'enum', 'type'].includes(name) && understood.has(name),
    );
    if (others.length > 0) this.warn('keywords beside "enum" and "const" other than "type" are not enforced');
    const types = typesOf(schema);
    return choice(
      ...values
        .filter((value) => types.some((type) => isOfType(value, type)))
        .map((value) => text(JSON.stringify(value))),
    );
  }

  private typed(type: string, schema: Schema, depth: number): Expression {
    switch (type) {
      case 'object':
        return this.object(schema, depth);
      case 'array':
        return this.array(schema, depth);
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

  private object(schema: Schema, depth: number): Expression {
    const properties = isObject(schema.properties) ? schema.properties : {};
    const required = new Set(Array.isArray(schema.required) ? schema.required.map(String) : []);
    const names = [...new Set([...Object.keys(properties), ...required])];
    if (names.length > mostProperties) {
      this.warn(`an object with more than ${mostProperties} properties is not enforced`);
      return json.object;
    }
    // Left out, other properties are offered only where none is named: nobody who names some wants more made up.
    const others = schema.additionalProperties ?? names.length === 0;
    const of = (name: string): unknown => (Object.hasOwn(properties, name) ? properties[name] : others || true);
    const other = others === false ? nothing : sequence(keyNotAmong(names), json.colon, this.expression(others, depth));
    let first = rule(json.listOf(other));
    let rest = rule(repeat(sequence(json.comma, other), 0, Number.POSITIVE_INFINITY));
    for (const name of names.toReversed()) {
      const pair = sequence(text(JSON.stringify(name)), json.colon, this.expression(of(name), depth));
      const skip = !required.has(name);
      const ahead = sequence(pair, rest);
      first = rule(skip ? choice(ahead, first) : ahead);
      rest = rule(skip ? choice(sequence(json.comma, ahead), rest) : sequence(json.comma, ahead));
    }
    return json.enclosed('{', first, '}');
  }

  private array(schema: Schema, depth: number): Expression {
    const tuple = Array.isArray(schema.prefixItems)
      ? schema.prefixItems
      : Array.isArray(schema.items)
        ? schema.items
        : [];
    const others = (Array.isArray(schema.items) ? schema.additionalItems : schema.items) ?? true;
    const min = this.count(schema, 'minItems', 0);
    const max = this.count(schema, 'maxItems', Number.POSITIVE_INFINITY);
    if (min > max) return nothing;
    const item = (index: number): Expression => this.expression(index < tuple.length ? tuple[index] : others, depth);
    const more = sequence(json.comma, item(tuple.length));
    const counted = Math.min(Math.max(tuple.length, min > 0 ? 1 : 0), max);
    const left = Math.max(0, max - counted);
    // The items after the tuple, then the tuple's from its end, each of which may be the last once there are enough.
    let rest: Expression = repeat(more, Math.max(0, min - counted), left);
    if (counted === 0) {
      rest = max === 0 ? empty : optional(sequence(item(0), repeat(more, 0, max - 1)));
    }
    for (let index = counted - 1; index >= 0; index -= 1) {
      const here = sequence(index > 0 ? json.comma : empty, item(index), rest);
      rest = rule(index >= min ? optional(here) : here);
    }
    return json.enclosed('[', rest, ']');
  }

  private string(schema: Schema): Expression {
    const min = this.count(schema, 'minLength', 0);
    const max = this.count(schema, 'maxLength', Number.POSITIVE_INFINITY);
    const { pattern, format } = schema;
    const formatted =
      typeof format === 'string' && Object.hasOwn(formatPatterns, format) ? formatPatterns[format] : undefined;
    if (format !== undefined && formatted === undefined) this.warn(`the format ${named(format)} is not enforced`);
    const wanted = typeof pattern === 'string' ? pattern : formatted;
    if (wanted === undefined) return min > max ? nothing : json.string(min, max);
    if (pattern !== undefined && formatted !== undefined) this.warn('"format" beside "pattern" is not enforced');
    const inside = patternExpression(wanted);
    if (!inside || !fits(inside)) {
      this.warn(`the pattern ${named(wanted)} is not enforced`);
      return min > max ? nothing : json.string(min, max);
    }
    if (min > 0 || Number.isFinite(max))
      this.warn('"minLength" and "maxLength" beside "pattern" or "format" are not enforced');
    return rule(sequence(text('"'), inside, text('"')));
  }

  private number(type: 'integer' | 'number', schema: Schema): Expression {
    const bound = (name: string): number | undefined => {
      const value = schema[name];
      if (value === undefined) return undefined;
      if (typeof value === 'number') return value;
      this.warn(`${named(name)} that is not a number is not enforced`);
      return undefined;
    };
    const [minimum, maximum] = [bound('minimum'), bound('maximum')];
    const [above, below] = [bound('exclusiveMinimum'), bound('exclusiveMaximum')];
    const multiple = schema.multipleOf;
    const whole = type === 'integer' || multiple === 1;
    if (multiple !== undefined && multiple !== 1) this.warn('"multipleOf" is not enforced');
    if ([minimum, maximum, above, below].every((value) => value === undefined))
      return whole ? json.integer : json.number;
    const lowOpen = above !== undefined && above >= (minimum ?? above);
    const highOpen = below !== undefined && below <= (maximum ?? below);
    const low = lowOpen ? above : minimum;
    const high = highOpen ? below : maximum;
    if (whole) {
      return integersBetween(
        low === undefined ? undefined : lowOpen ? Math.floor(low) + 1 : low,
        high === undefined ? undefined : highOpen ? Math.ceil(high) - 1 : high,
      );
    }
    const between = numbersBetween({ low, high, lowOpen, highOpen });
    if (between) return between;
    if (low! > high!) return nothing;
    this.warn('bounds with no whole number between them are not enforced');
    return json.number;
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

function fits(expression: Expression): boolean {
  try {
    return new Automaton(expression, patternStates).matches;
  } catch (error) {
    if (error instanceof TooLarge) return false;
    throw error;
  }
}

/** A name from the schema, fit for a warning in a header. */
function named(value: unknown): string {
  const shown = JSON.stringify(String(value).slice(0, 60));
  return shown.replace(/[^\x20-\x7e]/g, '?');
}
