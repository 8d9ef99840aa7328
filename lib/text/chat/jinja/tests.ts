// Jinja's tests: what stands behind `is`.

import { operate } from './operators.js';
import { isLower, isUpper } from './text-methods.js';
import {
  Callable,
  contains,
  equals,
  Float,
  Instance,
  isIterable,
  Markup,
  numeric,
  Tuple,
  typeName,
  type Value,
} from './values.js';
import { str } from './write.js';

export type Test = (value: Value, ...args: Value[]) => boolean;

function whole(value: Value, by: Value): number {
  const number = numeric(value);
  if (number === undefined) throw new Error(`'${typeName(value)}' object is not a number`);
  return numeric(operate('%', value, by))!;
}

const comparison =
  (operator: string): Test =>
  (a, b) =>
    operate(operator, a, b) as boolean;

const isText: Test = (value) => typeof value === 'string' || value instanceof Markup;
const isSequence: Test = (value) =>
  value === undefined || isText(value) || Array.isArray(value) || value instanceof Tuple || value instanceof Map;

export const tests: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', (value) => value !== undefined],
  ['undefined', (value) => value === undefined],
  ['none', (value) => value === null],
  ['boolean', (value) => typeof value === 'boolean'],
  ['true', (value) => value === true],
  ['false', (value) => value === false],
  ['integer', (value) => typeof value === 'number'],
  ['float', (value) => value instanceof Float],
  ['number', (value) => numeric(value) !== undefined],
  ['string', isText],
  ['mapping', (value) => value instanceof Map],
  ['sequence', isSequence],
  ['iterable', isIterable],
  ['callable', (value) => value === undefined || value instanceof Callable || value instanceof Instance],
  ['escaped', (value) => value instanceof Markup],
  ['lower', (value) => isLower(str(value))],
  ['upper', (value) => isUpper(str(value))],
  ['odd', (value) => whole(value, 2) === 1],
  ['even', (value) => whole(value, 2) === 0],
  ['divisibleby', (value, by) => whole(value, by) === 0],
  ['sameas', (value, other) => value === other],
  ['in', (value, container) => contains(container, value)],
  ...['eq', 'equalto', '=='].map((name) => [name, equals] as const),
  ...['ne', '!='].map((name) => [name, comparison('!=')] as const),
  ...['lt', 'lessthan', '<'].map((name) => [name, comparison('<')] as const),
  ...['le', '<='].map((name) => [name, comparison('<=')] as const),
  ...['gt', 'greaterthan', '>'].map((name) => [name, comparison('>')] as const),
  ...['ge', '>='].map((name) => [name, comparison('>=')] as const),
]);

/** @throws Error where Jinja has no test of that name */
export function testOf(name: string): Test {
  const test = tests.get(name);
  if (!test) throw new Error(`no test named '${name}'`);
  return test;
}
