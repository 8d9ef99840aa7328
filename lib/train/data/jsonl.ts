// Reads JSON Lines: one JSON value per line, as UTF-8, from a file of any length. A byte order mark, CRLF and empty
// lines are fine.
import { createReadStream } from 'node:fs';
import { fileError } from '../../files/json.js';
import { placeOfError } from '../../files/json-scan.js';

// A row has at most a few thousand tokens, so a longer line is no row; parsing one blocks the event loop.
const maxLineBytes = 4 * 1024 * 1024;
const newline = 0x0a;
// JSON's white space.
const blank = [0x09, newline, 0x0d, 0x20];

export interface JsonLine {
  /** From 1. */
  line: number;
  value: unknown;
}

/**
 * The values of a file, line by line. `pause` is awaited between stretches of work; its rejection ends the reading.
 *
 * @throws Error that names the file, the line and what is wrong there.
 */
export async function* jsonLines(
  path: string,
  pause: () => Promise<void> = async () => {},
): AsyncGenerator<JsonLine, void, void> {
  for await (const { line, bytes } of lines(path, pause)) {
    await pause();
    const text = decoded(path, line, bytes);
    if (text.trim() !== '') yield { line, value: parsed(path, line, text) };
  }
}

interface Line {
  line: number;
  bytes: Buffer;
}

async function* lines(path: string, pause: () => Promise<void>): AsyncGenerator<Line, void, void> {
  let parts: Buffer[] = [];
  let held = 0;
  let line = 1;
  const hold = (part: Buffer): void => {
    held += part.length;
    if (held > maxLineBytes) throw new Error(`${path}:${line}: the line is longer than ${maxLineBytes} bytes`);
    parts.push(part);
  };
  const stream = createReadStream(path, { highWaterMark: 256 * 1024 });
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      await pause();
      let start = 0;
      // Empty lines are skipped byte by byte: a file may have millions of them.
      const skip = (): void => {
        if (held > 0) return;
        for (let at = start; at < chunk.length && blank.includes(chunk[at]!); at++) {
          if (chunk[at] !== newline) continue;
          line++;
          start = at + 1;
        }
      };
      skip();
      for (let end = chunk.indexOf(newline, start); end >= 0; end = chunk.indexOf(newline, start)) {
        hold(chunk.subarray(start, end));
        if (held > 0) yield { line, bytes: parts.length === 1 ? parts[0]! : Buffer.concat(parts) };
        parts = [];
        held = 0;
        line++;
        start = end + 1;
        skip();
      }
      if (start < chunk.length) hold(chunk.subarray(start));
    }
  } catch (error) {
    throw fileError(path, error);
  } finally {
    stream.destroy();
  }
  if (held > 0) yield { line, bytes: Buffer.concat(parts) };
}

function decoded(path: string, line: number, bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new Error(`${path}:${line}: not UTF-8 text`);
  }
}

function parsed(path: string, line: number, text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (line === 1 && /^[[{]$/.test(text.trim())) {
      throw new Error(`${path}:1: expected JSON Lines, one whole object per line, got JSON spread over several lines`);
    }
    // The scanner counts lines within this one, so only its column is of use.
    const place = placeOfError(text)?.replace(/^line 1, /, '');
    throw new Error(`${path}:${line}: not valid JSON: ${place ?? (error as Error).message}`);
  }
}
