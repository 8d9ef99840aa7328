// Reads a request's JSON body: bounded in bytes, depth and number of values, checked against a schema, and clear about
// what is wrong. Each step has a turn of the event loop to itself.
import { Readable } from 'node:stream';
import type { Context } from 'hono';
import type { z } from 'zod';
import { deepest, pathText } from '../../flow/fault.js';
import { ownTurn, within } from '../../flow/pause.js';
import type { ServerContext } from '../context.js';
import { bounded, decoded, streamOf } from './encoding.js';
import { ApiError, badRequest } from './errors.js';

// JSON Schemas in requests nest deepest, and those of OpenAI stop at 10. Hostile nesting costs many times its size.
const mostDepth = 128;
// Bytes say little of what a body costs: eight million of them can be four million values, or a million objects' fields.
// So many tokens are also the most that OpenAI takes for one request's embeddings.
const mostValues = 300_000;
const mostFields = 2 ** 16;

/** @throws ApiError 400 or 413 that names the field and what was expected, or 408 for a body that does not arrive. */
export async function jsonBody<T extends z.ZodType>(
  c: Context,
  context: ServerContext,
  schema: T,
): Promise<z.infer<T>> {
  const { bodyBytes, bodySeconds } = context.settings.limits;
  const text = await inTime(bodySeconds, boundedText(c, bodyBytes)).catch((error: unknown) => {
    if (error instanceof ApiError) throw error;
    throw badRequest('The body broke off before its end.');
  });
  await ownTurn();
  if (!/\S/.test(text)) throw badRequest('The body is empty: expected a JSON object.');
  checkExtent(text);
  await ownTurn();
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    // V8 quotes the text around the mistake: the caller's own, given back to the caller only.
    throw badRequest(`The body is not valid JSON: ${(error as Error).message}`);
  }
  await ownTurn();
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const { path, message } = deepest(result.error.issues[0]!);
  const param = pathText(path) || null;
  throw badRequest(`${param === null ? 'The body' : `'${param}'`}: ${worded(message)}.`, param);
}

async function boundedText(c: Context, most: number): Promise<string> {
  const tooLarge = (): ApiError => new ApiError(413, `The body is larger than ${most} bytes.`);
  const announced = c.req.header('content-length');
  if (Number(announced) > most) throw tooLarge();
  const encoding = c.req.header('content-encoding');
  // HTTP cuts a body off at its announced length, and reading it whole spares Node a stream of its own.
  if (announced !== undefined && encoding === undefined) return c.req.text();
  const received = Readable.from(bounded(streamOf(c.req.raw), most, tooLarge));
  const chunks: Uint8Array[] = [];
  for await (const chunk of bounded(decoded(received, encoding), most, tooLarge)) chunks.push(chunk);
  return new TextDecoder().decode(Buffer.concat(chunks));
}

/** Gives up on a body after so many seconds, and on its connection, on which the rest of it may still come. */
async function inTime(seconds: number, reading: Promise<string>): Promise<string> {
  const text = await within(seconds * 1000, reading);
  if (text !== undefined) return text;
  throw new ApiError(408, `The body did not arrive within ${seconds} seconds.`, {
    code: 'request_timeout',
    headers: { connection: 'close' },
  });
}

/** @throws ApiError 400 for a text that would be more than a request can need. */
function checkExtent(text: string): void {
  let depth = 0;
  let values = 0;
  let fields = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22) i = endOfString(text, i);
    else if (c === 0x5b || c === 0x7b) {
      if (++depth > mostDepth) throw badRequest(`The body nests deeper than ${mostDepth} levels.`);
    } else if (c === 0x5d || c === 0x7d) depth--;
    else if (c === 0x2c) values++;
    else if (c === 0x3a) fields++;
    if (values > mostValues) throw badRequest(`The body has more than ${mostValues} values.`);
    if (fields > mostFields) throw badRequest(`The body has more than ${mostFields} fields.`);
  }
}

/** The place of the quote that ends the string which begins at `at`: found in much less time than character by character. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let before = end;
    while (text.charCodeAt(before - 1) === 0x5c) before--;
    if ((end - before) % 2 === 0) return end;
  }
  return text.length;
}

// They may name every key that is not known.
const longestWords = 500;

/** The schema library's words as a sentence of ours goes on. */
function worded(message: string): string {
  const absent = /^Invalid input: (expected .*), received undefined$/.exec(message);
  if (absent) return `is missing, ${absent[1]}`;
  const rest = message.replace(/^Invalid input: /, '');
  return rest.charAt(0).toLowerCase() + rest.slice(1, longestWords);
}
