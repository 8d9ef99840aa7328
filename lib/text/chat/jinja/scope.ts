// Variables: each block sees those of the blocks around it where it is written, and its own go with it.
import type { Value } from './values.js';

export class Scope {
  private readonly variables = new Map<string, Value>();

  constructor(private readonly outer?: Scope) {}

  get(name: string): Value {
    for (let scope: Scope | undefined = this; scope; scope = scope.outer) {
      const found = scope.variables.get(name);
      if (found !== undefined || scope.variables.has(name)) return found;
    }
    return undefined;
  }

  set(name: string, value: Value): void {
    this.variables.set(name, value);
  }
}
