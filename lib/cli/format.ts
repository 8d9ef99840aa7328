// Numbers and texts as people read them: sizes, times, rates, wrapped lines.

const steps =
  (units: readonly string[], base: number) =>
  (value: number): string => {
    let unit = 0;
    while (value >= base * 0.9995 && unit < units.length - 1) {
      value /= base;
      unit++;
    }
    return `${unit === 0 ? String(Math.round(value)) : digits(value)} ${units[unit]}`.trim();
  };

/** Bytes in decimal units: `98.4 MB`. */
export const bytes: (value: number) => string = steps(['bytes', 'kB', 'MB', 'GB', 'TB'], 1000);

/** A count: `134 M`. */
export const count: (value: number) => string = steps(['', 'K', 'M', 'B', 'T'], 1000);

/** Three significant digits without an exponent: `0.123`, `12.3`, `1234`. */
export function digits(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  const size = Math.abs(Number(value.toPrecision(3))); // what it is once rounded decides
  if (size >= 100 || size === 0) return value.toFixed(0);
  if (size < 0.001) return value.toExponential(1);
  return value.toFixed(Math.min(2 - Math.floor(Math.log10(size)), 4));
}

/** Seconds as `0.4 s`, `12 s`, `3:05` (minutes) or `2:03:05`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  const two = (n: number): string => String(n).padStart(2, '0');
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

export const plural = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** A path or a name as a shell takes it. */
export const quoted = (text: string): string =>
  /^[\w@%+=:,./~-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

/** Breaks a text into lines of at most `width` characters, at spaces where there are any. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split('\n')) {
    let line = '';
    for (const word of paragraph.split(' ')) {
      let rest = word;
      if (line !== '' && [...line].length + 1 + [...rest].length > width) {
        lines.push(line);
        line = '';
      }
      while ([...rest].length > width) {
        lines.push([...rest].slice(0, width).join(''));
        rest = [...rest].slice(width).join('');
      }
      line = line === '' ? rest : `${line} ${rest}`;
    }
    lines.push(line);
  }
  return lines;
}

/** Two texts beside each other, each under its title, `width` characters in all. */
export function sideBySide(
  left: readonly [title: string, text: string],
  right: readonly [title: string, text: string],
  width: number,
): string[] {
  const column = Math.floor((width - 3) / 2);
  const columns = [left, right].map(([title, text]) => [title, '-'.repeat([...title].length), ...wrap(text, column)]);
  const height = Math.max(...columns.map((lines) => lines.length));
  return Array.from({ length: height }, (_, i) => {
    const [a = '', b = ''] = columns.map((lines) => lines[i] ?? '');
    return `${a}${' '.repeat(column - [...a].length)}   ${b}`.trimEnd();
  });
}

/** Rows of cells under each other, the columns as wide as they need to be; numbers to the right. */
export function table(rows: readonly (readonly (string | number)[])[], indent = '  '): string[] {
  const text = rows.map((row) => row.map(String));
  const widths: number[] = [];
  for (const row of text)
    row.forEach((cell, i) => {
      widths[i] = Math.max(widths[i] ?? 0, cell.length);
    });
  return text.map((row, r) => {
    const cells = row.map((cell, i) =>
      typeof rows[r]![i] === 'number' || (i > 0 && /^[\d.,]+( |$)/.test(cell))
        ? cell.padStart(widths[i]!)
        : cell.padEnd(widths[i]!),
    );
    return `${indent}${cells.join('  ')}`.trimEnd();
  });
}
