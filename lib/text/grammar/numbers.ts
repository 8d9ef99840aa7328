// Numbers between two bounds, digit by digit.

import { byte, choice, type Expression, nothing, optional, repeat, sequence, text } from './expression.js';

const digit = byte([0x30, 0x39]);
/** Fifteen digits: every such integer is exact. */
const most = 999_999_999_999_999;

/** Both included; undefined is no bound. */
export function integersBetween(low = -most, high = most): Expression {
  const from = Math.max(Math.ceil(low), -most);
  const to = Math.min(Math.floor(high), most);
  const parts: Expression[] = [];
  if (from < 0) parts.push(sequence(text('-'), naturals(Math.max(1, -to), -from)));
  if (to >= 0) parts.push(naturals(Math.max(0, from), to));
  return from > to ? nothing : choice(...parts);
}

export interface Bounds {
  low?: number | undefined;
  high?: number | undefined;
  /** The bound itself is left out. */
  lowOpen?: boolean;
  highOpen?: boolean;
}

/** Undefined where no whole number lies between: such a narrow range has no simple form. */
export function numbersBetween({
  low = -most,
  high = most,
  lowOpen = false,
  highOpen = false,
}: Bounds): Expression | undefined {
  const from = Math.max(Math.ceil(low), -most);
  const to = Math.min(Math.floor(high), most);
  if (from > to) return undefined;
  const whole = integersBetween(from + (lowOpen && from === low ? 1 : 0), to - (highOpen && to === high ? 1 : 0));
  const zeros = optional(sequence(text('.'), repeat(text('0'), 1, 2)));
  // A fraction that is not zero lies between two whole numbers, both inside the bounds.
  const fraction = sequence(text('.'), repeat(text('0'), 0, 6), byte([0x31, 0x39]), repeat(digit, 0, 9));
  const parts = [sequence(whole, zeros)];
  if (to > 0 && to > from) parts.push(sequence(naturals(Math.max(0, from), to - 1), fraction));
  if (from < 0 && to > from) parts.push(sequence(text('-'), naturals(Math.max(0, -to), -from - 1), fraction));
  return choice(...parts);
}

/** 0 <= low <= high, without leading zeros. */
function naturals(low: number, high: number): Expression {
  const parts: Expression[] = [];
  for (let from = low; from <= high; ) {
    const size = String(from).length;
    const to = Math.min(high, 10 ** size - 1);
    parts.push(sameLength(String(from), String(to)));
    from = to + 1;
  }
  return choice(...parts);
}

function sameLength(low: string, high: string): Expression {
  if (low === high) return text(low);
  if (/^0+$/.test(low) && /^9+$/.test(high)) return repeat(digit, low.length, low.length);
  const first = low.charCodeAt(0);
  const last = high.charCodeAt(0);
  const size = low.length - 1;
  if (size === 0) return byte([first, last]);
  const [lows, highs] = [low.slice(1), high.slice(1)];
  const begin = (code: number, rest: Expression): Expression => sequence(byte([code, code]), rest);
  if (first === last) return begin(first, sameLength(lows, highs));
  const parts = [begin(first, sameLength(lows, '9'.repeat(size))), begin(last, sameLength('0'.repeat(size), highs))];
  if (last - first > 1) parts.push(sequence(byte([first + 1, last - 1]), repeat(digit, size, size)));
  return choice(...parts);
}
