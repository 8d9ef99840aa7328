// scope(): frees the tensors that were made inside it.
//
// The open scope follows the asynchronous call chain, so scopes of concurrent calls do not see each other's tensors.
import { AsyncLocalStorage } from 'node:async_hooks';
import { type Steps, within } from './steps.js';
import type { Tensor } from './tensor.js';

interface Scope {
  made: Set<Tensor>;
  parent: Scope | undefined;
  closed: boolean;
}

const open = new AsyncLocalStorage<Scope | undefined>();
let current: Scope | undefined; // the scope of a synchronous stretch, which needs no look-up

/**
 * Runs `body` and disposes of every tensor made inside, except tensors that it returns (directly, in an array, or as
 * values of a plain object) and tensors passed to `keep`. Works for synchronous and asynchronous bodies.
 */
export function scope<T>(body: () => T): T {
  const scope = opened();
  let result: T;
  try {
    result = inside(scope, body);
  } catch (error) {
    close(scope, undefined);
    throw error;
  }
  if (result instanceof Promise) {
    return result.then(
      (value) => {
        close(scope, value);
        return value;
      },
      (error) => {
        close(scope, undefined);
        throw error;
      },
    ) as T;
  }
  close(scope, result);
  return result;
}

/** The same for a body in steps, whatever runs between them. */
export function* scopeSteps<T>(body: () => Steps<T>): Steps<T> {
  const scope = opened();
  let result: T | undefined;
  try {
    result = yield* within((stretch) => inside(scope, stretch), body());
    return result;
  } finally {
    close(scope, result);
  }
}

const opened = (): Scope => ({ made: new Set(), parent: innermost(), closed: false });

function inside<T>(scope: Scope, body: () => T): T {
  const before = current;
  current = scope;
  try {
    return open.run(scope, body);
  } finally {
    current = before;
  }
}

/** Takes a tensor out of its scope: it lives until its own `dispose()`. */
export function keep<T extends Tensor>(tensor: T): T {
  tensor.madeIn?.delete(tensor);
  tensor.madeIn = undefined;
  return tensor;
}

/** Called by Tensor's constructor. */
export function made(tensor: Tensor): void {
  enter(tensor, innermost());
}

function enter(tensor: Tensor, scope: Scope | undefined): void {
  scope?.made.add(tensor);
  tensor.madeIn = scope?.made;
}

// What still runs when its scope has closed belongs to the next one outside.
function innermost(): Scope | undefined {
  let scope = current ?? open.getStore();
  while (scope?.closed) scope = scope.parent;
  return scope;
}

function close(scope: Scope, result: unknown): void {
  scope.closed = true;
  let outer = scope.parent;
  while (outer?.closed) outer = outer.parent;
  for (const tensor of tensorsIn(result)) if (scope.made.delete(tensor)) enter(tensor, outer);
  for (const tensor of scope.made) tensor.dispose();
}

function* tensorsIn(value: unknown): Generator<Tensor> {
  if (value === null || typeof value !== 'object') return;
  if (isTensor(value)) yield value;
  else if (Array.isArray(value)) for (const item of value) yield* tensorsIn(item);
  else if (value instanceof Map || value instanceof Set) for (const item of value.values()) yield* tensorsIn(item);
  else if (Object.getPrototypeOf(value) === Object.prototype)
    for (const item of Object.values(value)) yield* tensorsIn(item);
}

// Not `instanceof`: tensor.ts imports this file.
function isTensor(value: object): value is Tensor {
  return 'handle' in value && 'dtype' in value && 'dispose' in value;
}
