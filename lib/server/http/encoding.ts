// Bodies with a content-encoding, decoded as they come; their reader counts the bytes.
import { type Duplex, Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import { ApiError, badRequest } from './errors.js';

const decoders: Readonly<Record<string, () => Duplex>> = {
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
};

/**
 * The bytes of `body` without its encoding; destroying the result destroys `body`.
 *
 * @throws ApiError 415 for an encoding other than gzip, deflate, br and identity; 400 (as the stream's error) for bytes of
 *   no such encoding.
 */
export function decoded(body: Readable, encoding: string | null | undefined): Readable {
  const name = (encoding ?? 'identity').trim().toLowerCase();
  if (name === 'identity' || name === '') return body;
  const decoder = Object.hasOwn(decoders, name) ? decoders[name]!() : undefined;
  if (decoder) return Readable.from(through(body, decoder, name));
  body.destroy();
  throw new ApiError(415, "The body's content-encoding is not supported: expected gzip, deflate, br or identity.", {
    headers: { 'accept-encoding': 'gzip, deflate, br' },
  });
}

async function* through(body: Readable, decoder: Duplex, name: string): AsyncGenerator<Uint8Array, void, void> {
  let broken: unknown;
  body.once('error', (error) => {
    broken = error;
    decoder.destroy(error);
  });
  decoder.once('close', () => body.destroy());
  try {
    yield* body.pipe(decoder) as AsyncIterable<Uint8Array>;
  } catch {
    throw broken ?? badRequest(`The body is not encoded as its header says: expected ${name}.`);
  }
}

/** The chunks of `body`, up to `most` bytes. @throws what `tooLarge` gives for more. */
export async function* bounded(
  body: AsyncIterable<Uint8Array>,
  most: number,
  tooLarge: () => Error,
): AsyncGenerator<Uint8Array, void, void> {
  let size = 0;
  for await (const chunk of body) {
    size += chunk.byteLength;
    if (size > most) throw tooLarge();
    yield chunk;
  }
}

/** The body of a request as Node's stream. */
export const streamOf = ({ body }: Request): Readable =>
  body ? Readable.fromWeb(body as Parameters<typeof Readable.fromWeb>[0]) : Readable.from([]);
