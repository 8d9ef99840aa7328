// Stop strings: nothing of them gets out, and the cutting of the stream changes nothing.

import { describe, expect, it } from 'vitest';
import { StopStrings } from '../../lib/text/stop.js';

function run(stops: string[], pieces: string[]): { text: string; stopped: boolean; matched?: string } {
  const stop = new StopStrings(stops);
  let text = '';
  for (const piece of pieces) {
    const result = stop.push(piece);
    text += result.emit;
    if (result.stopped) return { text, stopped: true, ...(result.matched ? { matched: result.matched } : {}) };
  }
  return { text: text + stop.flush(), stopped: false };
}

describe('StopStrings', () => {
  it('holds back what may become a stop string, and no more', () => {
    const stop = new StopStrings(['\nUser:', '###']);
    expect(stop.push('Hello#')).toEqual({ emit: 'Hello', stopped: false });
    expect(stop.push('#!')).toEqual({ emit: '##!', stopped: false });
    expect(stop.push('a\n')).toEqual({ emit: 'a', stopped: false });
    expect(stop.push('Us')).toEqual({ emit: '', stopped: false });
    expect(stop.push('er: x')).toEqual({ emit: '', stopped: true, matched: '\nUser:' });
    expect(stop.push('more')).toEqual({ emit: '', stopped: true, matched: '\nUser:' });
    expect(stop.flush()).toBe('');
  });

  it('gives the rest at the end of the stream', () => {
    expect(run(['STOP'], ['abc STO'])).toEqual({ text: 'abc STO', stopped: false });
  });

  it('takes the match that ends first, and of those the longest', () => {
    expect(run(['abcd', 'bc'], ['xabcd'])).toEqual({ text: 'xa', stopped: true, matched: 'bc' });
    expect(run(['bc', 'abc'], ['xabc'])).toEqual({ text: 'x', stopped: true, matched: 'abc' });
    expect(run(['aab'], ['aaab'])).toEqual({ text: 'a', stopped: true, matched: 'aab' });
  });

  it('ignores empty stop strings, and lives without any', () => {
    expect(run(['', 'x'], ['ab'])).toEqual({ text: 'ab', stopped: false });
    expect(run([], ['ab', 'c'])).toEqual({ text: 'abc', stopped: false });
  });

  it('answers the same however the text is cut', () => {
    let state = 3;
    const next = (below: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return Math.floor((state / 2 ** 32) * below);
    };
    const word = (length: number): string => Array.from({ length }, () => 'ab'[next(2)]).join('');
    for (let round = 0; round < 500; round += 1) {
      const stops = Array.from({ length: 1 + next(3) }, () => word(2 + next(5)));
      const text = word(30);
      const pieces: string[] = [];
      for (let at = 0; at < text.length; ) {
        const length = 1 + next(6);
        pieces.push(text.slice(at, at + length));
        at += length;
      }
      const whole = run(stops, [text]);
      expect(run(stops, pieces)).toEqual(whole);
      const ends = stops
        .map((stop) => text.indexOf(stop) + stop.length)
        .filter((end, index) => text.includes(stops[index]!) && end);
      expect(whole.stopped).toBe(ends.length > 0);
      if (whole.stopped) expect(whole.text.length + whole.matched!.length).toBe(Math.min(...ends));
    }
  });
});
