// Reverse-mode differentiation. An op records its inputs beside the rules for their gradients; backward() walks the
// records from the result to the leaves.
//
// A rule takes the gradient of the op's output and gives the gradient of its input, in the input's shape and format: a
// new tensor, a view, or the gradient itself. It may do so in steps, between which a paced backward pass pauses.
// Inputs that need no gradient are dropped when the op is recorded, so a frozen weight costs nothing.
import { kernels } from './native.js';
import { keep, scopeSteps } from './scope.js';
import { finish, inOne, paced, type Steps, type Stepwise, settled, within } from './steps.js';
import { empty, type Shape, type Tensor, viewOf } from './tensor.js';

export type Rule = (grad: Tensor) => Stepwise<Tensor>;

/** The gradients of several inputs, in their order; an undefined one counts as zero. */
export type Gradients = readonly (Tensor | undefined)[];

export interface History {
  inputs: readonly Tensor[];
  rule: (grad: Tensor) => Stepwise<Gradients>;
}

let recording = true;

/** Whether ops record what `backward` needs. */
export const gradEnabled = (): boolean => recording;

/** Runs `body` without recording: its results have no gradient. `body` is synchronous. */
export function noGrad<T>(body: () => T): T {
  return withRecording(false, body);
}

function withRecording<T>(value: boolean, body: () => T): T {
  const before = recording;
  recording = value;
  try {
    return body();
  } finally {
    recording = before;
  }
}

const needsGrad = (x: Tensor): boolean => x.requiresGrad || x.history !== undefined;

/** Whether an op on these inputs will be recorded: kernels that keep something for the backward ask. */
export function willRecord(...inputs: (Tensor | undefined)[]): boolean {
  return recording && inputs.some((x) => x !== undefined && needsGrad(x));
}

/** Remembers how `out` was made: each input beside the rule for its gradient. */
export function record(out: Tensor, ...pairs: readonly (readonly [input: Tensor, rule: Rule])[]): Tensor {
  if (!recording) return out;
  const needed = pairs.filter(([input]) => needsGrad(input));
  if (needed.length > 0) {
    out.history = { inputs: needed.map(([input]) => input), rule: (grad) => each(needed, grad) };
  }
  return out;
}

function* each(pairs: readonly (readonly [Tensor, Rule])[], grad: Tensor): Steps<Tensor[]> {
  const gradients: Tensor[] = [];
  for (const [, rule] of pairs) {
    if (gradients.length > 0) yield;
    gradients.push(yield* settled(rule(grad)));
  }
  return gradients;
}

/**
 * The same for an op whose gradients come from one kernel. `needed` says which inputs need a gradient; `rule` may leave
 * the others undefined.
 */
export function recordJoint<const T extends readonly Tensor[]>(
  out: Tensor,
  inputs: T,
  rule: (grad: Tensor, needed: { readonly [K in keyof T]: boolean }) => Stepwise<Gradients>,
): Tensor {
  if (!recording) return out;
  const needed = inputs.map(needsGrad) as unknown as { readonly [K in keyof T]: boolean };
  if (inputs.some(needsGrad)) out.history = { inputs, rule: (grad) => rule(grad, needed) };
  return out;
}

/**
 * Adds d root / d leaf to the `grad` of every leaf (a tensor with `requiresGrad`) that `root` was made from.
 *
 * `grad` is the gradient of `root`, default 1 for a tensor of one element. The records are dropped on the way, so a
 * second call needs a second forward pass.
 *
 * @throws RangeError if `root` has more than one element and no `grad` is given, or if `grad` has another shape.
 */
export function backward(root: Tensor, grad?: Tensor): void {
  const seed = seedOf(root, grad);
  noGrad(() => finish(walk([[root, seed]])));
}

/**
 * The same with pauses between any two records, and between the steps of a rule: a deep model's backward pass is
 * thousands of calls, which would hold the event loop for tens of milliseconds if they were made in one stretch.
 */
export async function backwardPaced(
  root: Tensor,
  pause: () => Promise<void> | undefined,
  grad?: Tensor,
): Promise<void> {
  await paced(within(noGrad, walk([[root, seedOf(root, grad)]])), pause);
}

function seedOf(root: Tensor, grad: Tensor | undefined): Tensor {
  if (!grad && root.size !== 1) throw new RangeError(`backward: takes one element or a gradient, got [${root.shape}]`);
  if (grad && !sameShape(grad.shape, root.shape)) {
    throw new RangeError(`backward: a gradient [${grad.shape}] for a tensor [${root.shape}]`);
  }
  return grad ?? filled(root, 1);
}

function* walk(roots: readonly (readonly [root: Tensor, seed: Tensor])[]): Steps<void> {
  const gradients = new Map<Tensor, Tensor>(roots);
  const seeds = new Set(gradients.values());
  // A rule may hand its gradient on as it is, so one tensor can be waiting under several names.
  const drop = (gradient: Tensor): void => {
    if (seeds.has(gradient)) return;
    for (const other of gradients.values()) if (other === gradient) return;
    gradient.dispose();
  };
  for (const x of topological(roots.map(([root]) => root))) {
    const gradient = gradients.get(x);
    const history = x.history;
    x.history = undefined;
    if (!gradient) continue;
    gradients.delete(x);
    if (x.requiresGrad) addToLeaf(x, gradient);
    const results = history ? yield* settled(history.rule(gradient)) : [];
    history?.inputs.forEach((input, i) => {
      const result = results[i];
      if (!result) return;
      const before = gradients.get(input);
      gradients.set(input, before ? sumOf(before, result) : result);
      if (before) {
        drop(before);
        if (result !== gradient) drop(result);
      }
    });
    drop(gradient);
    yield;
  }
}

function sumOf(a: Tensor, b: Tensor): Tensor {
  const sum = empty(a.shape, { dtype: a.dtype, device: a.device });
  kernels.add(sum.handle, a.handle, b.handle);
  return sum;
}

function addToLeaf(leaf: Tensor, value: Tensor): void {
  if (leaf.grad) {
    kernels.add(leaf.grad.handle, leaf.grad.handle, value.handle);
    return;
  }
  const grad = keep(empty(leaf.shape, { dtype: leaf.dtype, device: leaf.device }));
  kernels.copy(grad.handle, value.handle);
  leaf.grad = grad;
}

function filled(like: Tensor, value: number): Tensor {
  const out = empty(like.shape, { dtype: like.dtype, device: like.device });
  kernels.fill(out.handle, value);
  return out;
}

// Reverse topological order: each tensor comes before its inputs. An explicit stack, because a deep model would overflow
// the call stack.
function topological(roots: readonly Tensor[]): Tensor[] {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>();
  for (const root of roots) {
    const stack: { x: Tensor; next: number }[] = seen.has(root) ? [] : [{ x: root, next: 0 }];
    seen.add(root);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const input = top.x.history?.inputs[top.next++];
      if (input === undefined) {
        order.push(top.x);
        stack.pop();
      } else if (!seen.has(input) && needsGrad(input)) {
        seen.add(input);
        stack.push({ x: input, next: 0 });
      }
    }
  }
  return order.reverse();
}

const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, i) => size === b[i]);

/**
 * Runs `body(...inputs)` without keeping what it makes on the way; the backward pass runs it again. Gradients reach the
 * inputs and every leaf that `body` uses. `body` must compute the same both times.
 */
export function checkpoint(body: (...inputs: Tensor[]) => Tensor, ...inputs: Tensor[]): Tensor {
  return finish(checkpointSteps((...given) => inOne(() => body(...given)), ...inputs));
}

/** The same for a body in steps, between which the passes pause, and with one result or several. */
export function* checkpointSteps<T extends Tensor | readonly Tensor[]>(
  body: (...inputs: Tensor[]) => Steps<T>,
  ...inputs: Tensor[]
): Steps<T> {
  if (!recording) return yield* body(...inputs);
  const result = yield* scopeSteps(() => within(noGrad, body(...inputs)));
  recordAll(listed(result), inputs, function* (grads) {
    const again = inputs.map((input) => {
      const x = viewOf(input, input.shape, input.strides);
      x.requiresGrad = needsGrad(input);
      return x;
    });
    yield* scopeSteps(function* () {
      const roots = listed(yield* within((stretch) => withRecording(true, stretch), body(...again)));
      const pairs = roots.flatMap((root, i) => (grads[i] ? [[root, seedOf(root, grads[i])] as const] : []));
      yield* walk(pairs);
    });
    return again.map((x) => x.grad);
  });
  return result;
}

const listed = (x: Tensor | readonly Tensor[]): readonly Tensor[] => ('handle' in x ? [x] : x);

/** Records several results of one op. `rule` gets their gradients, undefined where one has none. */
function recordAll(
  outs: readonly Tensor[],
  inputs: readonly Tensor[],
  rule: (grads: Gradients) => Steps<Gradients>,
): void {
  const [first] = outs;
  if (first && outs.length === 1) {
    first.history = { inputs, rule: (grad) => rule([grad]) };
    return;
  }
  if (!first) return;
  // Behind all results stands one tensor, which the walk reaches after them and whose own gradient means nothing.
  const joint = empty([1], { device: first.device });
  const grads: (Tensor | undefined)[] = outs.map(() => undefined);
  joint.history = {
    inputs,
    *rule() {
      const gradients = yield* rule(grads);
      for (const grad of grads) grad?.dispose();
      return gradients;
    },
  };
  for (const [i, out] of outs.entries()) {
    out.history = {
      inputs: [joint],
      rule(grad) {
        grads[i] = viewOf(grad, grad.shape, grad.strides);
        return [filled(joint, 0)];
      },
    };
  }
}
