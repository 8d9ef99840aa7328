// Responses that are kept: what was asked and answered, so that later requests can build on it. In the data folder, else in
// memory; the oldest leave where there are too many.
import { z } from 'zod';
import { check } from '../../files/json.js';
import type { Records, Store } from '../../store/store.js';
import { type OutputItem, placeOf } from './items.js';
import type { InputItem } from './request.js';
import type { ResponseObject } from './response.js';

const mostKept = 10_000;
const mostInMemory = 1000;
const lifetimeMilliseconds = 30 * 24 * 3600 * 1000;
const longestChain = 4096;

export interface KeptResponse {
  response: ResponseObject;
  /** Items of its own request, references resolved. */
  input: InputItem[];
}

const recordSchema = z.object({
  response: z.looseObject({
    id: z.string(),
    created_at: z.number(),
    status: z.string(),
    output: z.array(z.looseObject({})),
  }),
  input: z.array(z.looseObject({})),
});

/** What was answered is asked about in the same JSON. */
const asInput = (items: readonly OutputItem[]): InputItem[] => items as unknown as InputItem[];

export class ResponseStore {
  /** Responses that were used last, the latest at the end. */
  readonly #recent = new Map<string, KeptResponse>();
  /** Ids by age, the oldest first, where a folder keeps them. */
  readonly #kept = new Map<string, number>();

  readonly #records: Records | undefined;

  private constructor(records: Records | undefined) {
    this.#records = records;
  }

  /** For a server that keeps nothing else. */
  static inMemory(): ResponseStore {
    return new ResponseStore(undefined);
  }

  /** `warn` gets what is wrong with a record that is left out. */
  static async open(store: Store, warn: (message: string) => void): Promise<ResponseStore> {
    const responses = new ResponseStore(store.records('response'));
    const found: { id: string; at: number }[] = [];
    for (const { id, value, source } of (await responses.#records?.list(warn)) ?? []) {
      try {
        const { response } = check(source, recordSchema, value);
        found.push({ id, at: response.created_at * 1000 });
      } catch (error) {
        warn((error as Error).message);
      }
    }
    for (const { id, at } of found.sort((a, b) => a.at - b.at)) responses.#kept.set(id, at);
    return responses;
  }

  /** Keeps a response, new or changed. */
  async keep(kept: KeptResponse): Promise<void> {
    const { id } = kept.response;
    this.#remember(id, kept);
    if (!this.#records) return;
    const value = kept as unknown as Record<string, unknown>;
    const known = await this.#records.get(id);
    if (known) await this.#records.replace(id, value, known.version);
    else {
      await this.#records.create(id, async () => value);
      this.#kept.set(id, Date.now());
      await this.#sweep();
    }
  }

  async get(id: string): Promise<KeptResponse | undefined> {
    const recent = this.#recent.get(id);
    if (recent) return recent;
    if (!this.#kept.has(id)) return undefined;
    const record = await this.#records?.get(id);
    if (!record) return undefined;
    const kept = check(record.source, recordSchema, record.value) as unknown as KeptResponse;
    this.#remember(id, kept);
    return kept;
  }

  /** Whether there was one. */
  async delete(id: string): Promise<boolean> {
    const remembered = this.#recent.delete(id);
    this.#kept.delete(id);
    return ((await this.#records?.remove(id)) ?? false) || remembered;
  }

  /** The item that an answer gave under `id`. */
  async item(id: string): Promise<InputItem | undefined> {
    const place = placeOf(id);
    const kept = place && (await this.get(place.responseId));
    return kept && asInput(kept.response.output)[place!.place];
  }

  /** All items up to the end of a response, oldest first; undefined where one of the chain is not kept. */
  async history(id: string): Promise<InputItem[] | undefined> {
    const turns: InputItem[][] = [];
    let next: string | null = id;
    for (let count = 0; next !== null && count < longestChain; count += 1) {
      const kept: KeptResponse | undefined = await this.get(next);
      if (!kept) return undefined;
      turns.push([...kept.input, ...asInput(kept.response.output)]);
      next = (kept.response.previous_response_id as string | null | undefined) ?? null;
    }
    return turns.reverse().flat();
  }

  #remember(id: string, kept: KeptResponse): void {
    this.#recent.delete(id);
    this.#recent.set(id, kept);
    if (this.#recent.size > mostInMemory) this.#recent.delete(this.#recent.keys().next().value!);
  }

  async #sweep(): Promise<void> {
    const oldest = Date.now() - lifetimeMilliseconds;
    for (const [id, at] of this.#kept) {
      if (this.#kept.size <= mostKept && at >= oldest) return;
      await this.delete(id);
    }
  }
}
