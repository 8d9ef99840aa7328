// Numbers and texts for people.
import { describe, expect, it } from 'vitest';
import { bytes, count, digits, duration, sideBySide, table, wrap } from '../../lib/cli/format.js';

describe('numbers', () => {
  it.each([
    [0, '0 bytes'],
    [999, '999 bytes'],
    [1000, '1.00 kB'],
    [98_362_432, '98.4 MB'],
    [999_700, '1.00 MB'],
    [16.1e9, '16.1 GB'],
  ])('bytes(%d) = %s', (value, text) => expect(bytes(value)).toBe(text));

  it.each([
    [12, '12'],
    [134_515_008, '135 M'],
    [8_030_261_248, '8.03 B'],
  ])('count(%d) = %s', (value, text) => expect(count(value)).toBe(text));

  it.each([
    [0, '0'],
    [0.5, '0.500'],
    [0.0123, '0.0123'],
    [3.1234, '3.12'],
    [31.4159, '31.4'],
    [1234.5, '1235'],
    [1e-5, '1.0e-5'],
    [Number.NaN, 'NaN'],
  ])('digits(%d) = %s', (value, text) => expect(digits(value)).toBe(text));

  it.each([
    [0.44, '0.4 s'],
    [9.96, '10 s'],
    [59.4, '59 s'],
    [59.7, '1:00'],
    [185, '3:05'],
    [7385, '2:03:05'],
    [Number.POSITIVE_INFINITY, '?'],
  ])('duration(%d) = %s', (value, text) => expect(duration(value)).toBe(text));
});

describe('texts', () => {
  it('wraps at spaces, and within a word that is too long', () => {
    expect(wrap('one two three', 7)).toEqual(['one two', 'three']);
    expect(wrap('abcdefghij kl', 4)).toEqual(['abcd', 'efgh', 'ij', 'kl']);
    expect(wrap('a\n\nb', 5)).toEqual(['a', '', 'b']);
  });

  it('puts two texts side by side', () => {
    expect(sideBySide(['before', 'a b c'], ['after', 'Grüezi mitenand'], 21)).toEqual([
      'before      after',
      '------      -----',
      'a b c       Grüezi',
      '            mitenand',
    ]);
  });

  it('aligns the columns of a table', () => {
    expect(
      table([
        ['', 'median', 'unit'],
        ['a', '1.5', 'x'],
        ['long name', '123', 'y'],
      ]),
    ).toEqual(['             median  unit', '  a             1.5  x', '  long name     123  y']);
  });
});
