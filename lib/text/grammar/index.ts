// Constrained decoding: grammars from JSON Schema, and the tokens they allow.

export { Budget } from './budget.js';
export { maskFor } from './constrain.js';
export { Grammar } from './machine.js';
export {
  type CompiledSchema,
  compiled,
  compileJsonObject,
  compileJsonSchema,
  leadingSpace,
  schemaExpression,
} from './schema.js';
export { Vocabulary, vocabularyOf } from './vocabulary.js';
