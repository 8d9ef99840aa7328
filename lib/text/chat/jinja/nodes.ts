// The library's syntax tree, which its package does not declare for others.
import type { Token } from './lex.js';

export type Node = Expression | Statement;

export type Expression =
  | { type: 'IntegerLiteral' | 'FloatLiteral'; value: number }
  | { type: 'StringLiteral'; value: string }
  | { type: 'ArrayLiteral' | 'TupleLiteral'; value: Expression[] }
  | { type: 'ObjectLiteral'; value: Map<Expression, Expression> }
  | Identifier
  | Call
  | { type: 'MemberExpression'; object: Expression; property: Expression | Slice; computed: boolean }
  | { type: 'UnaryExpression'; operator: Token; argument: Expression }
  | Binary
  | { type: 'FilterExpression'; operand: Expression; filter: Identifier | Call }
  | Select
  | { type: 'Ternary'; condition: Expression; trueExpr: Expression; falseExpr: Expression }
  | KeywordArgument
  | { type: 'SpreadExpression' | 'KeywordSpreadExpression'; argument: Expression };

export type Statement =
  | { type: 'If'; test: Expression; body: Node[]; alternate: Node[] }
  | For
  | { type: 'Break' | 'Continue' }
  | { type: 'Set'; assignee: Expression; value: Expression | null; body: Node[] }
  | { type: 'Macro'; name: Identifier; args: Parameter[]; body: Node[] }
  | { type: 'CallStatement'; call: Call; callerArgs: Parameter[] | null; body: Node[] }
  | { type: 'FilterStatement'; filter: Identifier | Call; body: Node[] };

export interface Identifier {
  type: 'Identifier';
  value: string;
}

export interface Call {
  type: 'CallExpression';
  callee: Expression;
  args: Expression[];
}

export interface Binary {
  type: 'BinaryExpression';
  operator: Token;
  left: Expression;
  right: Expression;
}

/** `lhs if test` without an `else`: in a `for`, which of the items it goes through. */
export interface Select {
  type: 'SelectExpression';
  lhs: Expression;
  test: Expression;
}

export interface KeywordArgument {
  type: 'KeywordArgumentExpression';
  key: Identifier;
  value: Expression;
}

export type Parameter = Identifier | KeywordArgument;

export interface Slice {
  type: 'SliceExpression';
  start?: Expression;
  stop?: Expression;
  step?: Expression;
}

export interface For {
  type: 'For';
  loopvar: Expression;
  iterable: Expression;
  body: Node[];
  defaultBlock: Node[];
}
