// The contract of a store: where a server keeps what outlives it. A member is one file, such as `folder.ts` with the files
// that it alone imports; users of the contract know no path, no file system and no member.
//
// An item has a record, a log of events and blobs. Its record decides: an item exists once its record does, and what was
// put for an item without one is removed when the store is opened. What a name stands for is complete, and a change that
// was resolved survives a power cut, events only once `flush` resolved. Blobs are never written again: they are replaced
// whole or removed.

/** `id`: letters, digits, `_` and `-`. */
export interface Item {
  readonly kind: 'file' | 'job' | 'response' | 'batch';
  readonly id: string;
}

export interface Store {
  records(kind: Item['kind']): Records;
  events(item: Item): Events;
  blobs(item: Item): Blobs;
  /** The right to work on an item, for one holder in all processes; undefined while another has it. */
  lease(item: Item): Promise<AsyncDisposable | undefined>;
  /** An empty local folder, for blobs that are made before they are published, or fetched. */
  scratch(): Promise<Scratch>;
  close(): Promise<void>;
}

export type Json = Readonly<Record<string, unknown>>;

export interface StoredRecord {
  readonly id: string;
  readonly value: Json;
  /** Changes with each replacement. */
  readonly version: string;
  /** The record's name in error messages. */
  readonly source: string;
}

/** A JSON record for each item of a kind, written whole. */
export interface Records {
  /** Of a record that cannot be read, `skipped` gets the reason. */
  list(skipped: (reason: string) => void): Promise<StoredRecord[]>;
  /** Undefined: there is no such item. */
  get(id: string): Promise<StoredRecord | undefined>;
  /**
   * Makes an item: `fill` puts its first blobs and events and returns its record; with that all of them exist, and none of
   * them where it rejects.
   *
   * @throws Error if the item exists.
   */
  create(id: string, fill: (draft: Draft) => Promise<Json>): Promise<StoredRecord>;
  /** Compare-and-set: the new version, or undefined where the record is no longer of `version`. */
  replace(id: string, value: Json, version: string): Promise<string | undefined>;
  /** Removes an item, its events and blobs included. Whether there was one. */
  remove(id: string): Promise<boolean>;
}

/** An item that is being made. */
export interface Draft extends Pick<Blobs, 'put' | 'publish' | 'share'>, Pick<Events, 'append'> {}

/** `id` is the event's key. */
export interface StoredEvent extends Json {
  readonly id: string;
}

/** The log of an item, oldest first; each key is kept once, so appending may be repeated. */
export interface Events {
  append(event: StoredEvent): Promise<void>;
  /** From place `from` on, which is 0 for the first. */
  read(from?: number): Promise<readonly StoredEvent[]>;
  /** Resolves once all that was appended survives a power cut. */
  flush(): Promise<void>;
}

/**
 * The blobs of an item. A blob is one file or a folder of files; names are relative paths such as `run/step-000120`.
 * Below `run` lie then all blobs whose names begin with `run/`.
 */
export interface Blobs {
  /** Stores a file as it comes in. */
  put(name: string, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** Moves a folder of files from scratch into the store; an older blob of the name is replaced. */
  publish(name: string, folder: string): Promise<void>;
  /** Takes a blob of another item over, or only `files` of it, without a copy where possible. False: there is none. */
  share(name: string, from: { item: Item; name: string }, files?: readonly string[]): Promise<boolean>;
  /** A file's content, readable to its end even if it is removed meanwhile. Undefined: there is none. */
  read(name: string): Promise<{ size: number; stream: ReadableStream<Uint8Array> } | undefined>;
  /**
   * Puts a blob at `path` in scratch, which must be free, and makes the folders above it. It is only for reading: it may be
   * the stored file itself. False: there is none.
   */
  fetch(name: string, path: string): Promise<boolean>;
  /** When the blob was stored, in milliseconds. Undefined: there is none. */
  storedAt(name: string): Promise<number | undefined>;
  /** Last parts of the names directly below `name`, sorted. */
  list(name: string): Promise<string[]>;
  /** Removes the blob, or all below the name; no half of it can be read at any time. */
  remove(name: string): Promise<void>;
}

/** Removed when it is disposed of, and at the latest when the store is opened again. */
export interface Scratch extends AsyncDisposable {
  readonly path: string;
}
