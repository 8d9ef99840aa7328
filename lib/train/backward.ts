// backward() in slices: a deep model's backward pass is thousands of calls, which would hold the event loop up for tens
// of milliseconds if they were made in one stretch. The device works on while the loop breathes.
import { type History, noGrad } from '../autograd.js';
import { kernels } from '../native.js';
import { keep } from '../scope.js';
import { empty, type Tensor } from '../tensor.js';
import { Breather } from './dataset.js';

/** As `backward(root, grad)`: adds to the `grad` of every leaf, and drops the records on the way. */
export async function backwardInSlices(root: Tensor, grad: Tensor): Promise<void> {
  const breather = new Breather();
  const gradients = new Map<Tensor, Tensor>([[root, grad]]);
  for (const x of await ordered(root, breather)) {
    const gradient = gradients.get(x);
    const history = x.history;
    x.history = undefined;
    if (!gradient) continue;
    gradients.delete(x);
    noGrad(() => pass(x, gradient, history, gradients));
    release(gradient, grad, gradients);
    await breather.pause();
  }
}

function pass(x: Tensor, gradient: Tensor, history: History | undefined, gradients: Map<Tensor, Tensor>): void {
  if (x.requiresGrad) addToLeaf(x, gradient);
  const results = history?.rule(gradient) ?? [];
  history?.inputs.forEach((input, i) => {
    const result = results[i];
    if (!result) return;
    const before = gradients.get(input);
    if (!before) {
      gradients.set(input, result);
      return;
    }
    const sum = empty(before.shape, { dtype: before.dtype, device: before.device });
    kernels.add(sum.handle, before.handle, result.handle);
    gradients.set(input, sum);
    release(before, gradient, gradients);
    release(result, gradient, gradients);
  });
}

// A rule may hand its gradient on as it is, so one tensor can wait under several names.
function release(gradient: Tensor, inUse: Tensor, gradients: Map<Tensor, Tensor>): void {
  if (gradient === inUse) return;
  for (const other of gradients.values()) if (other === gradient) return;
  gradient.dispose();
}

function addToLeaf(leaf: Tensor, value: Tensor): void {
  if (leaf.grad) {
    kernels.add(leaf.grad.handle, leaf.grad.handle, value.handle);
    return;
  }
  leaf.grad = keep(empty(leaf.shape, { dtype: leaf.dtype, device: leaf.device }));
  kernels.copy(leaf.grad.handle, value.handle);
}

/** Every tensor that needs a gradient, before those that it was made from. */
async function ordered(root: Tensor, breather: Breather): Promise<Tensor[]> {
  const order: Tensor[] = [];
  const seen = new Set<Tensor>([root]);
  const stack: { x: Tensor; next: number }[] = [{ x: root, next: 0 }];
  for (let top = stack.at(-1); top; top = stack.at(-1)) {
    const input = top.x.history?.inputs[top.next++];
    if (input === undefined) {
      order.push(top.x);
      stack.pop();
      await breather.pause();
    } else if (!seen.has(input) && (input.requiresGrad || input.history)) {
      seen.add(input);
      stack.push({ x: input, next: 0 });
    }
  }
  return order.reverse();
}
