// The lines of a batch's input file: read one by one, and checked before any of them is answered.
import { createInterface } from 'node:readline';
import { Readable } from 'node:stream';
import type { ReadableStream as NodeStream } from 'node:stream/web';
import { z } from 'zod';
import { TimeSlice } from '../../flow/pause.js';
import { anyObject } from '../http/sized.js';
import type { Fault } from './record.js';

const mostLines = 50_000;
const mostFaults = 100;

const lineSchema = z.object({
  custom_id: z.string().min(1).max(512),
  method: z.literal('POST'),
  url: z.string(),
  body: anyObject,
});

export type BatchLine = z.infer<typeof lineSchema>;

/** All lines, or what is wrong with them. */
export async function linesOf(
  content: ReadableStream<Uint8Array>,
  endpoint: string,
): Promise<{ lines: BatchLine[]; faults: Fault[] }> {
  const lines: BatchLine[] = [];
  const faults: Fault[] = [];
  const ids = new Set<string>();
  const slice = new TimeSlice();
  const input = Readable.fromWeb(content as NodeStream<Uint8Array>);
  let number = 0;
  const fault = (code: string, message: string, param: string | null): void => {
    if (faults.length < mostFaults) faults.push({ code, message, param, line: number });
  };
  for await (const text of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1;
    if (slice.over) await slice.pause();
    if (text.trim() === '') continue;
    if (lines.length >= mostLines) {
      fault('too_many_requests', `has more than ${mostLines} lines`, null);
      break;
    }
    const line = parsed(text);
    if (!line) fault('invalid_json_line', 'is not a JSON object', null);
    else if (line instanceof z.ZodError) {
      const [issue] = line.issues;
      fault('invalid_request', `${issue!.path.join('.')}: ${issue!.message}`, issue!.path.join('.') || null);
    } else if (line.url !== endpoint) fault('mismatched_url', `url: expected ${endpoint}`, 'url');
    else if (ids.has(line.custom_id))
      fault('duplicate_custom_id', `custom_id: ${line.custom_id} stands twice`, 'custom_id');
    else {
      ids.add(line.custom_id);
      lines.push(line);
    }
  }
  if (number === 0 || (lines.length === 0 && faults.length === 0)) fault('empty_file', 'has no lines', null);
  return { lines, faults };
}

function parsed(text: string): BatchLine | z.ZodError | undefined {
  try {
    const result = lineSchema.safeParse(JSON.parse(text));
    return result.success ? result.data : result.error;
  } catch {
    return undefined;
  }
}
