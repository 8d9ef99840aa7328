// Numbers between two bounds, digit by digit, without exponents.

import { byte, choice, type Expression, empty, nothing, optional, repeat, sequence, text } from './expression.js';
import { mostDigits } from './json.js';

const digit = byte([0x30, 0x39]);
/** Every decimal of at most fifteen digits is a double of its own, and seventeen tell each double from the others. */
const ownDigits = 15;
const tellingDigits = 17;

/** Undefined is no bound. */
export interface Bounds {
  low?: number | undefined;
  high?: number | undefined;
  /** The bound itself is left out. */
  lowOpen?: boolean;
  highOpen?: boolean;
}

/** The bound, or the nearest wider one of a size that digits can write; undefined where there is none. */
export function ordinary(bound: number, side: 'low' | 'high'): number | undefined {
  const size = Math.abs(bound);
  if (size > 1e30) return undefined;
  if (bound === 0 || size >= 1e-20) return bound;
  if (side === 'low') return bound > 0 ? 0 : -1e-20;
  return bound < 0 ? 0 : 1e-20;
}

export function integersBetween({ low, high, lowOpen = false, highOpen = false }: Bounds): Expression {
  const from = low === undefined ? undefined : wholeFrom(low, lowOpen);
  const to = high === undefined ? undefined : -wholeFrom(-high, highOpen);
  if (from !== undefined && to !== undefined && from > to) return nothing;
  const parts: Expression[] = [];
  if (from === undefined || from < 0n) {
    const least = to !== undefined && to < 0n ? -to : 1n;
    parts.push(sequence(text('-'), naturals(least, from === undefined ? undefined : -from)));
  }
  if (to === undefined || to >= 0n) parts.push(naturals(from !== undefined && from > 0n ? from : 0n, to));
  return choice(...parts);
}

/** The least whole number at or above a bound; above it where the bound is open. */
function wholeFrom(bound: number, open: boolean): bigint {
  const whole = BigInt(Math.ceil(bound));
  if (!open || Math.ceil(bound) !== bound) return whole;
  // Far from zero whole numbers next to each other are the same double.
  return whole + (Number.isSafeInteger(bound) ? 1n : (whole < 0n ? -whole : whole) >> 52n);
}

export function numbersBetween({ low, high, lowOpen = false, highOpen = false }: Bounds): Expression {
  if (low !== undefined && high !== undefined && low > high) return nothing;
  const parts: Expression[] = [];
  if (low === undefined || low < 0) {
    const from = high !== undefined && high < 0 ? endAt(high, highOpen) : endAt(0, true);
    parts.push(sequence(text('-'), magnitudes(from, low === undefined ? undefined : endAt(low, lowOpen))));
  }
  if (high === undefined || high >= 0) {
    const from = low !== undefined && low >= 0 ? endAt(low, lowOpen) : endAt(0, false);
    parts.push(magnitudes(from, high === undefined ? undefined : endAt(high, highOpen)));
  }
  return choice(...parts);
}

/** A bound on a fraction's digits, zeros behind them left out. */
interface FractionEnd {
  digits: string;
  open: boolean;
}

interface End extends FractionEnd {
  whole: bigint;
}

/** A bound without its sign. */
function endAt(bound: number, open: boolean): End {
  const [mantissa, exponent] = Math.abs(bound).toExponential().split('e') as [string, string];
  const digits = mantissa.replace('.', '');
  const point = Number(exponent) + 1;
  const fraction = point < 0 ? digits.padStart(digits.length - point, '0') : digits.slice(point);
  return { whole: BigInt(Math.trunc(Math.abs(bound))), digits: fraction.replace(/0+$/, ''), open };
}

function magnitudes(low: End, high: End | undefined): Expression {
  // Digits enough to tell the bounds' neighbours from the bounds, and no more than tell doubles apart.
  const size = Math.max(1, ownDigits - String(high?.whole ?? low.whole).length, low.digits.length + 1);
  const left = Math.max(size, (high?.digits.length ?? 0) + 1);
  const from = (whole: bigint, least?: End, greatest?: End): Expression =>
    sequence(text(String(whole)), fraction(least, greatest, left));
  if (high && high.whole === low.whole) return from(low.whole, low, high);
  const between = naturals(low.whole + 1n, high && high.whole - 1n);
  // Further digits round to the bound itself at most, which must be allowed then.
  const inner = high?.open ? left : Math.max(left, tellingDigits);
  const parts = [from(low.whole, low), sequence(between, fraction(undefined, undefined, inner))];
  if (high) parts.push(from(high.whole, undefined, high));
  return choice(...parts);
}

/** A point and digits, or nothing where that is within the bounds. */
function fraction(low: FractionEnd | undefined, high: FractionEnd | undefined, left: number): Expression {
  const least = low && rest(low.digits, low.open);
  return choice(mayEnd(least, high) ? empty : nothing, sequence(text('.'), digits(least, high, left)));
}

/** One digit or more within the bounds. */
function digits(low: FractionEnd | undefined, high: FractionEnd | undefined, left: number): Expression {
  if (left === 0) return nothing;
  if (!low && !high) return repeat(digit, 1, left);
  // Zeros alone are as good as none; two are enough.
  if (high && !high.open && high.digits === '') return low ? nothing : repeat(text('0'), 1, 2);
  const least = low ? Number(low.digits[0] ?? 0) : -1;
  const greatest = high ? Number(high.digits[0] ?? 0) : 10;
  const after = (first: number, last: number, lower?: FractionEnd, upper?: FractionEnd): Expression => {
    if (first > last) return nothing;
    const more = digits(lower, upper, left - 1);
    return sequence(byte([0x30 + first, 0x30 + last]), mayEnd(lower, upper) ? optional(more) : more);
  };
  const lower = low && rest(low.digits.slice(1), low.open);
  const upper = high && { digits: high.digits.slice(1), open: high.open };
  if (least === greatest) return after(least, least, lower, upper);
  const parts = [after(least + 1, greatest - 1)];
  if (low && least < greatest) parts.push(after(least, least, lower));
  if (high && least < greatest) parts.push(after(greatest, greatest, undefined, upper));
  return choice(...parts);
}

/** The rest of a lower bound; undefined where all digits are above it. */
function rest(digits: string, open: boolean): FractionEnd | undefined {
  return digits === '' && !open ? undefined : { digits, open };
}

function mayEnd(low: FractionEnd | undefined, high: FractionEnd | undefined): boolean {
  return low === undefined && !(high?.open && high.digits === '');
}

/** Whole numbers from `low`, which is not negative, to `high`, without leading zeros. */
function naturals(low: bigint, high: bigint | undefined): Expression {
  const parts: Expression[] = [];
  for (let from = low; high === undefined || from <= high; ) {
    const length = String(from).length;
    const longest = 10n ** BigInt(length) - 1n;
    const to = high === undefined || high > longest ? longest : high;
    parts.push(sameLength(String(from), String(to)));
    if (high === undefined) {
      parts.push(sequence(byte([0x31, 0x39]), repeat(digit, length, mostDigits - 1)));
      break;
    }
    from = to + 1n;
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
  const begin = (code: number, then: Expression): Expression => sequence(byte([code, code]), then);
  if (first === last) return begin(first, sameLength(lows, highs));
  const parts = [begin(first, sameLength(lows, '9'.repeat(size))), begin(last, sameLength('0'.repeat(size), highs))];
  if (last - first > 1) parts.push(sequence(byte([first + 1, last - 1]), repeat(digit, size, size)));
  return choice(...parts);
}
