// The progress line: what a terminal shows at several widths, and what a log holds.
import { describe, expect, it } from 'vitest';
import { Progress } from '../../lib/cli/progress.js';
import { FakeOutput, screen } from './fake-terminal.js';

const utf8 = { LANG: 'C.UTF-8', NO_COLOR: '1' };

function setUp(tty: boolean, columns = 80, env: Record<string, string> = utf8) {
  const clock = { ms: 0 };
  const stream = new FakeOutput(tty, columns);
  const progress = new Progress(stream, { label: 'train', env, now: () => clock.ms });
  return { clock, stream, progress };
}

describe('on a terminal', () => {
  it('redraws one line with bar, count, details and time left', () => {
    const { clock, stream, progress } = setUp(true);
    progress.update(1, 10, ['loss 2.000', '500 tokens/s']);
    clock.ms = 4000;
    progress.update(5, 10, ['loss 1.000', '510 tokens/s']);
    expect(screen(stream.text)).toHaveLength(1);
    const [line] = screen(stream.text);
    expect(line).toMatch(/^train {2}█+░+ {2}5\/10 {2}loss 1\.000 {2}510 tokens\/s {2}5\.0 s left$/);
    expect(line!.length).toBeLessThan(80);
    const bar = /█+░+/.exec(line!)![0];
    expect(bar.match(/█/g)).toHaveLength(bar.length / 2);
  });

  it('tells no time left before any time has passed', () => {
    const { stream, progress } = setUp(true);
    progress.update(1, 10);
    progress.end();
    progress.update(5, 10);
    expect(stream.text).not.toMatch(/left|NaN|Infinity/);
  });

  it('does not redraw more often than the eye sees, but always at the end', () => {
    const { clock, stream, progress } = setUp(true);
    for (let i = 1; i <= 1000; i++) {
      clock.ms += 1;
      progress.update(i, 1000);
    }
    const draws = stream.text.split('\r').length - 1;
    expect(draws).toBeLessThan(16);
    expect(screen(stream.text).at(-1)).toContain('1000/1000');
  });

  it.each([20, 30, 40, 60, 80, 200])('never fills a line of %i columns', (columns) => {
    const { clock, stream, progress } = setUp(true, columns);
    for (let i = 1; i <= 30; i++) {
      clock.ms += 1000;
      progress.update(i * 1000, 30000, ['loss 12.345', '12345 tokens/s']);
      const [line] = screen(stream.text);
      expect(line!.length).toBeLessThan(columns);
      expect(line).toContain(`${i * 1000}/30000`);
    }
  });

  it('never shows a broken line between two draws: each draw is one write', () => {
    const { clock, stream, progress } = setUp(true);
    const writes: string[] = [];
    stream.write = ((text: string) => {
      writes.push(text);
      return true;
    }) as typeof stream.write;
    progress.update(1, 3);
    clock.ms = 500;
    progress.update(2, 3);
    expect(writes).toHaveLength(2);
    for (const write of writes) expect(write).toMatch(/^\r.*\x1b\[K$/);
  });

  it('puts a note above the bar, and a finished bar stays', () => {
    const { clock, stream, progress } = setUp(true);
    progress.update(1, 2);
    progress.note('eval loss 1.5');
    clock.ms = 1000;
    progress.update(2, 2);
    progress.end();
    const lines = screen(stream.text);
    expect(lines[0]).toBe('eval loss 1.5');
    expect(lines[1]).toMatch(/^train {2}█+ {2}2\/2 {2}1\.0 s$/);
    expect(lines[2]).toBe('');
  });

  it('can be taken away', () => {
    const { stream, progress } = setUp(true);
    progress.wait('reading the data');
    expect(screen(stream.text)).toEqual(['train  reading the data …']);
    progress.update(1, 2);
    progress.end(false);
    expect(screen(stream.text)).toEqual(['']);
  });

  it('keeps to ASCII where the locale has no more', () => {
    const { stream, progress } = setUp(true, 80, { LANG: 'C', NO_COLOR: '1' });
    progress.update(1, 2);
    expect(stream.text).toMatch(/#+-+/);
    expect(stream.text).not.toMatch(/[^\x00-\x7f]/);
  });

  it('colours only where colours are wanted', () => {
    const coloured = setUp(true, 80, { LANG: 'C.UTF-8' });
    coloured.progress.update(1, 2);
    expect(coloured.stream.text).toContain('\x1b[36m');
    const plain = setUp(true);
    plain.progress.update(1, 2);
    expect(plain.stream.text).not.toMatch(/\x1b\[\d+m/);
  });
});

describe('in a log', () => {
  it('writes plain lines now and then, the first and the last always', () => {
    const { clock, stream, progress } = setUp(false);
    for (let i = 1; i <= 1000; i++) {
      clock.ms += 100;
      progress.update(i, 1000, [`loss ${(1 / i).toFixed(3)}`]);
    }
    progress.end();
    expect(stream.text).not.toMatch(/[\r\x1b]/);
    const lines = stream.text.trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(8);
    expect(lines.length).toBeLessThan(25);
    expect(lines[0]).toBe('train  1/1000  loss 1.000');
    expect(lines.at(-1)).toBe('train  1000/1000  loss 0.001  1:40');
  });

  it('writes a line after ten seconds even if the work is slow', () => {
    const { clock, stream, progress } = setUp(false);
    progress.update(1, 1000);
    clock.ms = 11_000;
    progress.update(2, 1000);
    expect(stream.text.trimEnd().split('\n')).toHaveLength(2);
  });

  it('writes a few lines for quick work', () => {
    const { clock, stream, progress } = setUp(false);
    for (let i = 1; i <= 10; i++) {
      clock.ms += 50;
      progress.update(i, 10);
    }
    expect(stream.text.trimEnd().split('\n')).toHaveLength(2);
  });

  it('writes notes as lines, and nothing while it waits', () => {
    const { stream, progress } = setUp(false);
    progress.wait('reading the data');
    progress.note('warning: two rows were cut');
    expect(stream.text).toBe('warning: two rows were cut\n');
  });
});
