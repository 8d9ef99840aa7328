// Runs a template's syntax tree as Jinja does: Python's values, and scopes where blocks are written.
//
// The library has an interpreter of its own, with JavaScript's values: it writes `true` for True, finds a dictionary's key
// where Python finds a method, keeps a loop's variables for the next round, and drops what is written before a `break`.
import { fromPlain } from './convert.js';
import { filterOf } from './filters.js';
import { constants, globals } from './globals.js';
import { Loop } from './loop.js';
import type { Binary, Call, Expression, For, Identifier, Node, Parameter } from './nodes.js';
import { attribute, callValue, item, operate, signed, slice } from './operators.js';
import { names } from './parse.js';
import { Scope } from './scope.js';
import { map } from './sequence-filters.js';
import { testOf } from './tests.js';
import {
  Arguments,
  Callable,
  type Dict,
  Float,
  iterate,
  keyOf,
  Namespace,
  Tuple,
  truth,
  type Value,
} from './values.js';
import { str } from './write.js';

/** What a loop does next. */
type Signal = 'go on' | 'break' | 'continue';

/** What is written so far; a block that is no part of the text has one of its own. */
interface Page {
  text: string;
}

/** @throws Error where the template refuses its variables, or Python would */
export function evaluate(program: readonly Node[], variables: Readonly<Record<string, unknown>>): string {
  const outside = new Scope();
  for (const [name, value] of globals) outside.set(name, value);
  for (const [name, value] of Object.entries(variables)) outside.set(name, fromPlain(value));
  return written(program, new Scope(outside));
}

function written(nodes: readonly Node[], scope: Scope): string {
  const page = { text: '' };
  run(nodes, scope, page);
  return page.text;
}

function run(nodes: readonly Node[], scope: Scope, page: Page): Signal {
  for (const node of nodes) {
    const signal = step(node, scope, page);
    if (signal !== 'go on') return signal;
  }
  return 'go on';
}

function step(node: Node, scope: Scope, page: Page): Signal {
  switch (node.type) {
    case 'StringLiteral':
      page.text += node.value;
      return 'go on';
    case 'If':
      return run(truth(value(node.test, scope)) ? node.body : node.alternate, scope, page);
    case 'For':
      loop(node, scope, page);
      return 'go on';
    case 'Break':
      return 'break';
    case 'Continue':
      return 'continue';
    case 'Set':
      assign(node.assignee, node.value ? value(node.value, scope) : written(node.body, new Scope(scope)), scope);
      return 'go on';
    case 'Macro':
      scope.set(node.name.value, macro(node.name.value, node.args, node.body, scope));
      return 'go on';
    case 'CallStatement':
      return callBlock(node.call, node.callerArgs ?? [], node.body, scope, page);
    case 'FilterStatement':
      page.text += str(filtered(written(node.body, new Scope(scope)), node.filter, scope));
      return 'go on';
    default:
      page.text += str(value(node, scope));
      return 'go on';
  }
}

function assign(target: Expression, given: Value, scope: Scope): void {
  if (target.type === 'Identifier') {
    scope.set(target.value, given);
  } else if (target.type === 'TupleLiteral') {
    const entries = iterate(given);
    const wanted = target.value.length;
    if (entries.length !== wanted) {
      throw new Error(`${entries.length < wanted ? 'not enough' : 'too many'} values to unpack (expected ${wanted})`);
    }
    target.value.forEach((part, index) => assign(part, entries[index], scope));
  } else if (target.type === 'MemberExpression' && !target.computed && target.property.type === 'Identifier') {
    const object = value(target.object, scope);
    if (!(object instanceof Namespace)) throw new Error('cannot assign attribute on non-namespace object');
    object.fields.set(target.property.value, given);
  } else {
    throw new Error('only names, tuples of names and the attributes of a namespace can be set');
  }
}

function loop(node: For, scope: Scope, page: Page): void {
  let { iterable } = node;
  let test: Expression | undefined;
  if (iterable.type === 'SelectExpression') ({ lhs: iterable, test } = iterable);
  const recursive = named(iterable, names.recursive);
  const through = (given: Value, depth: number, onto: Page): void => {
    const items = iterate(given).filter((entry) => {
      if (!test) return true;
      const inner = new Scope(scope);
      assign(node.loopvar, entry, inner);
      return truth(value(test, inner));
    });
    const again = (entries: Value): string => {
      const inner = { text: '' };
      through(entries, depth + 1, inner);
      return inner.text;
    };
    const state = new Loop(items, depth, recursive ? again : undefined);
    // A round that ends early does not count: Jinja writes the `else` too where none came to its end.
    let ended = false;
    for (; state.index0 < items.length; state.index0 += 1) {
      const inner = new Scope(scope);
      inner.set('loop', state);
      assign(node.loopvar, items[state.index0], inner);
      const signal = run(node.body, inner, onto);
      if (signal === 'break') break;
      if (signal === 'go on') ended = true;
    }
    if (!ended) run(node.defaultBlock, new Scope(scope), onto);
  };
  through(value(recursive ?? iterable, scope), 0, page);
}

/** The argument of one of the calls that parse.ts writes. */
function named(node: Expression, name: string): Expression | undefined {
  const calls = node.type === 'CallExpression' && node.callee.type === 'Identifier' && node.callee.value === name;
  return calls ? node.args[0] : undefined;
}

function macro(name: string, parameters: readonly Parameter[], body: readonly Node[], scope: Scope): Callable {
  const own = parameters.map((parameter) => (parameter.type === 'Identifier' ? parameter : parameter.key).value);
  const reads = (extra: string): boolean => !own.includes(extra) && mentions(body, extra);
  const [takesMore, takesNames, takesCaller] = ['varargs', 'kwargs', 'caller'].map(reads);
  return new Callable(name, ({ positional, named: given }) => {
    const inner = new Scope(scope);
    const rest = new Map(given);
    const absent: (() => void)[] = [];
    parameters.forEach((parameter, index) => {
      const key = own[index]!;
      if (index < positional.length && rest.has(key)) throw new Error(`macro '${name}' got two values for '${key}'`);
      inner.set(key, index < positional.length ? positional[index] : rest.get(key));
      if (index >= positional.length && !rest.has(key) && parameter.type !== 'Identifier') {
        absent.push(() => inner.set(key, value(parameter.value, inner)));
      }
      rest.delete(key);
    });
    if (takesCaller) {
      inner.set('caller', rest.get('caller'));
      rest.delete('caller');
    }
    const [unknown] = rest.keys();
    if (takesNames) inner.set('kwargs', new Map(rest));
    else if (unknown !== undefined) throw new Error(`macro '${name}' takes no keyword argument '${unknown}'`);
    if (takesMore) inner.set('varargs', new Tuple(positional.slice(own.length)));
    else if (positional.length > own.length) {
      throw new Error(`macro '${name}' takes not more than ${own.length} argument(s)`);
    }
    for (const fill of absent) fill();
    return written(body, inner);
  });
}

const mentioned = new WeakMap<readonly Node[], Set<string>>();

/** Whether a name occurs in a macro's body. */
function mentions(body: readonly Node[], name: string): boolean {
  let found = mentioned.get(body);
  if (!found) {
    found = new Set();
    const ahead: unknown[] = [body];
    while (ahead.length > 0) {
      const node = ahead.pop();
      if (node instanceof Map) ahead.push(...node.keys(), ...node.values());
      else if (typeof node === 'object' && node !== null) {
        if ((node as Node).type === 'Identifier') found.add((node as Identifier).value);
        else ahead.push(...Object.values(node));
      }
    }
    mentioned.set(body, found);
  }
  return found.has(name);
}

function callBlock(
  call: Call,
  parameters: readonly Parameter[],
  body: readonly Node[],
  scope: Scope,
  page: Page,
): Signal {
  const { callee } = call;
  if (callee.type === 'Identifier' && callee.value === names.scope) {
    const inner = new Scope(scope);
    parameters.forEach((parameter, index) => assign(parameter as Identifier, value(call.args[index]!, scope), inner));
    return run(body, inner, page);
  }
  const args = argumentsOf(call.args, scope);
  const caller = macro('caller', parameters, body, scope);
  const withCaller = new Arguments(args.positional, new Map([...args.named, ['caller', caller]]));
  page.text += str(callValue(value(callee, scope), withCaller));
  return 'go on';
}

function argumentsOf(nodes: readonly Expression[], scope: Scope): Arguments {
  const positional: Value[] = [];
  const given = new Map<string, Value>();
  const name = (key: string, entry: Value): void => {
    if (given.has(key)) throw new Error(`got multiple values for keyword argument '${key}'`);
    given.set(key, entry);
  };
  for (const node of nodes) {
    if (node.type === 'SpreadExpression') positional.push(...iterate(value(node.argument, scope)));
    else if (node.type === 'KeywordArgumentExpression') name(node.key.value, value(node.value, scope));
    else if (node.type === 'KeywordSpreadExpression') {
      const more = value(node.argument, scope);
      if (!(more instanceof Map)) throw new Error('argument after ** must be a mapping');
      for (const [key, entry] of more) name(str(key), entry);
    } else positional.push(value(node, scope));
  }
  return new Arguments(positional, given);
}

function filtered(operand: Value, filter: Identifier | Call, scope: Scope): Value {
  const name = ((filter.type === 'Identifier' ? filter : filter.callee) as Identifier).value;
  const args = filter.type === 'Identifier' ? new Arguments() : argumentsOf(filter.args, scope);
  const negated = name.startsWith(names.isNot);
  if (negated || name.startsWith(names.is)) {
    const test = name.slice((negated ? names.isNot : names.is).length);
    return tested(test, operand, args.positional) !== negated;
  }
  return name === 'map' ? map(operand, args, filterOf) : filterOf(name)(operand, args);
}

function tested(name: string, operand: Value, args: readonly Value[]): boolean {
  if (name !== 'filter' && name !== 'test') return testOf(name)(operand, ...args);
  try {
    return Boolean(name === 'filter' ? filterOf(str(operand)) : testOf(str(operand)));
  } catch {
    return false;
  }
}

function value(node: Expression, scope: Scope): Value {
  switch (node.type) {
    case 'IntegerLiteral':
    case 'StringLiteral':
      return node.value;
    case 'FloatLiteral':
      return new Float(node.value);
    case 'ArrayLiteral':
      return node.value.map((entry) => value(entry, scope));
    case 'TupleLiteral':
      return new Tuple(node.value.map((entry) => value(entry, scope)));
    case 'ObjectLiteral': {
      const dict: Dict = new Map();
      for (const [key, entry] of node.value) dict.set(keyOf(value(key, scope)), value(entry, scope));
      return dict;
    }
    case 'Identifier':
      return constants.has(node.value) ? constants.get(node.value) : scope.get(node.value);
    case 'CallExpression':
      return called(node, scope);
    case 'MemberExpression':
      return member(node, scope);
    case 'UnaryExpression': {
      const operand = value(node.argument, scope);
      return node.operator.value === 'not' ? !truth(operand) : signed(node.operator.value, operand);
    }
    case 'BinaryExpression':
      return binary(node, scope);
    case 'FilterExpression':
      return filtered(value(node.operand, scope), node.filter, scope);
    case 'SelectExpression':
      return truth(value(node.test, scope)) ? value(node.lhs, scope) : undefined;
    case 'Ternary':
      return value(truth(value(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
    default:
      throw new Error('an argument stands outside a call');
  }
}

function called({ callee, args }: Call, scope: Scope): Value {
  if (callee.type === 'Identifier') {
    if (callee.value === names.tuple) return new Tuple(args.map((entry) => value(entry, scope)));
    if (callee.value === names.group) return value(args[0]!, scope);
    if (callee.value !== 'caller' && scope.get(callee.value) === undefined)
      throw new Error(`'${callee.value}' is undefined`);
  }
  return callValue(value(callee, scope), argumentsOf(args, scope));
}

function member(node: Expression & { type: 'MemberExpression' }, scope: Scope): Value {
  const { object, property, computed } = node;
  const operand = value(object, scope);
  if (property.type === 'SliceExpression') {
    const [start, stop, by] = [property.start, property.stop, property.step].map((part) => part && value(part, scope));
    return slice(operand, start, stop, by);
  }
  if (computed) return item(operand, value(property, scope));
  return property.type === 'Identifier' ? attribute(operand, property.value) : item(operand, value(property, scope));
}

function binary(node: Binary, scope: Scope): Value {
  const { operator, left, right } = node;
  if (operator.value === 'and' || operator.value === 'or') {
    const first = value(left, scope);
    return truth(first) === (operator.value === 'or') ? first : value(right, scope);
  }
  return operator.group === undefined
    ? operate(operator.value, value(left, scope), value(right, scope))
    : comparison(node, scope).holds;
}

/** `a < b < c` in one bracket asks for both, and computes `b` once. */
function comparison({ operator, left, right }: Binary, scope: Scope): { holds: Value; last: Value } {
  let first: Value;
  if (left.type === 'BinaryExpression' && left.operator.group === operator.group) {
    const before = comparison(left, scope);
    if (!truth(before.holds)) return before;
    first = before.last;
  } else {
    first = value(left, scope);
  }
  const last = value(right, scope);
  return { holds: operate(operator.value, first, last), last };
}
