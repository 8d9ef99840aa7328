// JSON's own grammar. White space is at most one space or one line break with its indentation, and digits are counted,
// so that a small model can't go on with either for ever.

import {
  byte,
  character,
  choice,
  type Expression,
  empty,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from './expression.js';

export const space: Expression = rule(
  optional(choice(text(' '), sequence(text('\n'), repeat(byte([0x20, 0x20], [0x09, 0x09]), 0, 24)))),
);

const digit = byte([0x30, 0x39]);
const hex = byte([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]);

/** One character inside a string as JSON writes it. Escapes of half characters (\ud800 to \udfff) are left out. */
export const stringCharacter = rule(
  choice(
    character([
      [0x20, 0x21],
      [0x23, 0x5b],
      [0x5d, 0xd7ff],
      [0xe000, 0x10ffff],
    ]),
    sequence(
      text('\\'),
      choice(
        byte(...Array.from('"\\/bfnrt', (letter) => [letter.charCodeAt(0), letter.charCodeAt(0)] as const)),
        sequence(
          text('u'),
          choice(
            sequence(byte([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]), hex),
            sequence(byte([0x44, 0x44], [0x64, 0x64]), byte([0x30, 0x37])),
          ),
          hex,
          hex,
        ),
      ),
    ),
  ),
);

/** `min` to `max` characters in quotes. */
export function string(min = 0, max = Number.POSITIVE_INFINITY): Expression {
  return sequence(text('"'), restOfString(min, max));
}

/** `min` to `max` characters and the quote that ends them. */
export function restOfString(min = 0, max = Number.POSITIVE_INFINITY): Expression {
  return { kind: 'string', character: stringCharacter.rule, min, max };
}

/** Digits of an integer: more than 256 bits have, and few enough that a number comes to its end. */
export const mostDigits = 100;

const minus = optional(text('-'));
const magnitude = (digits: number): Expression =>
  choice(text('0'), sequence(byte([0x31, 0x39]), repeat(digit, 0, digits - 1)));

export const integer: Expression = rule(sequence(minus, magnitude(mostDigits)));

/** Numbers that are finite as doubles. */
export const number: Expression = rule(
  sequence(
    minus,
    choice(
      sequence(magnitude(mostDigits), optional(fractionOf(mostDigits))),
      sequence(magnitude(17), optional(fractionOf(32)), exponent()),
      sequence(byte([0x31, 0x39]), optional(fractionOf(32)), text('e'), optional(text('+')), from290to307()),
    ),
  ),
);

function fractionOf(digits: number): Expression {
  return sequence(text('.'), repeat(digit, 1, digits));
}

function from290to307(): Expression {
  return choice(sequence(text('29'), digit), sequence(text('30'), byte([0x30, 0x37])));
}

/** Behind a mantissa below 10 to the 17th, any negative exponent and a positive one below 290 stay finite. */
function exponent(): Expression {
  const e = byte([0x45, 0x45], [0x65, 0x65]);
  const hundreds = choice(sequence(text('1'), repeat(digit, 2, 2)), sequence(text('2'), byte([0x30, 0x38]), digit));
  const positive = choice(sequence(optional(text('0')), repeat(digit, 1, 2)), hundreds);
  return sequence(e, choice(sequence(optional(text('+')), positive), sequence(text('-'), repeat(digit, 1, 3))));
}

export const boolean: Expression = choice(text('true'), text('false'));
export const nil: Expression = text('null');

/** Values between brackets: `items` holds the commas. */
export function enclosed(open: string, items: Expression, close: string): Expression {
  return sequence(text(open), space, items, space, text(close));
}

export const comma: Expression = sequence(text(','), space);
export const colon: Expression = sequence(text(':'), space);

export function listOf(item: Expression): Expression {
  return choice(empty, sequence(item, repeat(sequence(comma, item), 0, Number.POSITIVE_INFINITY)));
}

/** Any value. */
export const value: Expression & { kind: 'rule' } = rule();
export const anyString: Expression = rule(string());
export const object: Expression = rule(enclosed('{', listOf(sequence(anyString, colon, value)), '}'));
export const array: Expression = rule(enclosed('[', listOf(value), ']'));
value.rule.expression = choice(anyString, object, array, number, boolean, nil);
