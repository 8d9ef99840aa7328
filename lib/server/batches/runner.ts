// Runs batches one after the other, in places that no other request waits for. Each line is a request to the server itself, so
// that it is answered as it would be over the wire. An answer is kept as soon as it is there: a server that starts again
// goes on with the lines that have none.
import { setTimeout } from 'node:timers/promises';
import { check } from '../../files/json.js';
import type { Records, Store, StoredEvent } from '../../store/store.js';
import { contentOf, type FileStore, newId } from '../files/store.js';
import type { Serving } from '../served.js';
import { type BatchLine, linesOf } from './lines.js';
import { type BatchRecord, type Counts, entering, isOver, recordSchema } from './record.js';

const concurrent = 4;
const idleMilliseconds = 100;
const mostTries = 8;

/** The blob of a batch that its lines are in, kept though the file may be deleted. */
const input = 'input.jsonl';

interface Answer extends StoredEvent {
  status: number;
  requestId: string;
  body: unknown;
}

type Fetch = (request: Request) => Response | Promise<Response>;

export class BatchRunner {
  readonly #records: Records;
  readonly #batches = new Map<string, BatchRecord>();
  readonly #versions = new Map<string, string>();
  readonly #counts = new Map<string, Counts>();
  readonly #ending = new AbortController();
  #fetch: Fetch | undefined;
  #running: Promise<void> = Promise.resolve();
  #writing: Promise<void> = Promise.resolve();
  #latest = 0;

  private constructor(
    private readonly serving: Serving,
    private readonly store: Store,
    private readonly files: FileStore,
  ) {
    this.#records = store.records('batch');
  }

  static async open(serving: Serving, store: Store, files: FileStore): Promise<BatchRunner> {
    const runner = new BatchRunner(serving, store, files);
    const warn = (error: string): void => serving.log.warn({ error }, 'batch left out');
    for (const { id, value, version, source } of await runner.#records.list(warn)) {
      try {
        const batch = { ...check(source, recordSchema, value), id };
        runner.#batches.set(id, batch);
        runner.#versions.set(id, version);
        runner.#latest = Math.max(runner.#latest, batch.createdAt);
      } catch (error) {
        warn((error as Error).message);
      }
    }
    return runner;
  }

  /** Answers lines by `fetch` from now on, those that were left first. */
  start(fetch: Fetch): void {
    this.#fetch = fetch;
    for (const batch of this.all) if (!isOver(batch)) this.#enqueue(batch);
  }

  /** Oldest first. */
  get all(): BatchRecord[] {
    return [...this.#batches.values()].sort((a, b) => a.createdAt - b.createdAt);
  }

  get(id: string): BatchRecord | undefined {
    return this.#batches.get(id);
  }

  async counts(batch: BatchRecord): Promise<Counts> {
    const known = this.#counts.get(batch.id);
    if (known) return known;
    const answers = await this.#answers(batch);
    const failed = answers.filter(isFailure).length;
    const counts = { completed: answers.length - failed, failed };
    this.#counts.set(batch.id, counts);
    return counts;
  }

  /** Takes over the file's content. Undefined: there is no such file. */
  async create(details: Pick<BatchRecord, 'endpoint' | 'inputFileId' | 'metadata'>): Promise<BatchRecord | undefined> {
    const file = await this.files.get(details.inputFileId);
    if (!file) return undefined;
    this.#latest = Math.max(Date.now(), this.#latest + 1);
    const id = newId('batch_');
    const batch: BatchRecord = { id, createdAt: this.#latest, status: 'validating', total: 0, times: {}, ...details };
    const { version } = await this.#records.create(id, async (draft) => {
      await draft.share(input, contentOf(file.id));
      return batch;
    });
    this.#batches.set(id, batch);
    this.#versions.set(id, version);
    this.#enqueue(batch);
    return batch;
  }

  async cancel(batch: BatchRecord): Promise<void> {
    await this.#update(batch, () =>
      isOver(batch) || batch.status === 'finalizing' ? {} : entering(batch, 'cancelling'),
    );
  }

  /** Ends with the lines that are being answered. */
  async close(): Promise<void> {
    this.#ending.abort();
    await this.#running;
  }

  #enqueue(batch: BatchRecord): void {
    this.#running = this.#running
      .then(() => this.#run(batch))
      .catch((error: unknown) => {
        // It goes on when the server starts again.
        this.serving.log.error({ batch: batch.id, error: String(error) }, 'batch not run');
      });
  }

  async #run(batch: BatchRecord): Promise<void> {
    if (this.#ending.signal.aborted) return;
    const content = await this.store.blobs(itemOf(batch)).read(input);
    if (!content) throw new Error('its lines are gone');
    const { lines, faults } = await linesOf(content.stream, batch.endpoint);
    if (faults.length > 0) return this.#update(batch, () => ({ ...entering(batch, 'failed'), faults }));
    await this.#update(batch, () => ({
      ...(batch.status === 'validating' ? entering(batch, 'in_progress') : {}),
      total: lines.length,
    }));
    const answered = new Set((await this.#answers(batch)).map(({ id }) => id));
    const waiting = lines.filter(({ custom_id: id }) => !answered.has(id)).values();
    await this.counts(batch);
    const worker = async (): Promise<void> => {
      for (const line of waiting) {
        if (this.#ending.signal.aborted || batch.status === 'cancelling') return;
        await this.#whenIdle();
        if (this.#ending.signal.aborted) return;
        await this.#answer(batch, line);
      }
    };
    await Promise.all(Array.from({ length: concurrent }, worker));
    if (!this.#ending.signal.aborted) await this.#finish(batch);
  }

  async #answer(batch: BatchRecord, line: BatchLine): Promise<void> {
    const answer = await this.#ask(line);
    if (!answer) return;
    await this.store.events(itemOf(batch)).append(answer);
    const counts = await this.counts(batch);
    counts[isFailure(answer) ? 'failed' : 'completed'] += 1;
  }

  /** Undefined where the server ends meanwhile. A full queue is waited for. */
  async #ask({ custom_id: id, url, body }: BatchLine): Promise<Answer | undefined> {
    const [key] = this.serving.settings.apiKeys;
    for (let tries = 1; ; tries += 1) {
      const request = new Request(`http://localhost${this.serving.settings.basePath}${url}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(key ? { authorization: `Bearer ${key}` } : {}) },
        body: JSON.stringify({ ...body, stream: false }),
        signal: this.#ending.signal,
      });
      const response = await this.#fetch!(request);
      if (this.#ending.signal.aborted) return undefined;
      const again = (response.status === 429 || response.status === 503) && tries < mostTries;
      if (!again) {
        const requestId = response.headers.get('x-request-id') ?? '';
        return { id, status: response.status, requestId, body: (await response.json()) as unknown };
      }
      await response.body?.cancel();
      await setTimeout(2 ** tries * idleMilliseconds, undefined, { signal: this.#ending.signal }).catch(() => {});
    }
  }

  /** Resolves when no other request waits for a place. */
  async #whenIdle(): Promise<void> {
    const isBusy = (): boolean =>
      [...this.serving.models.values()].some(({ model }) => (model.engineStats()?.waiting ?? 0) > 0);
    while (isBusy() && !this.#ending.signal.aborted) {
      await setTimeout(idleMilliseconds, undefined, { signal: this.#ending.signal }).catch(() => {});
    }
  }

  async #finish(batch: BatchRecord): Promise<void> {
    await this.#update(batch, () => (batch.status === 'cancelling' ? {} : entering(batch, 'finalizing')));
    const answers = await this.#answers(batch);
    const outputFileId = await this.#write(
      batch,
      'output',
      answers.filter((answer) => !isFailure(answer)),
    );
    const errorFileId = await this.#write(batch, 'error', answers.filter(isFailure));
    await this.#update(batch, () => ({
      ...entering(batch, batch.status === 'cancelling' ? 'cancelled' : 'completed'),
      ...(outputFileId ? { outputFileId } : {}),
      ...(errorFileId ? { errorFileId } : {}),
    }));
  }

  /** A file of answers; of none there is no file. Its name follows from the batch: done twice it replaces itself. */
  async #write(batch: BatchRecord, kind: 'output' | 'error', answers: readonly Answer[]): Promise<string | undefined> {
    if (answers.length === 0) return undefined;
    const id = `file-${batch.id.slice('batch_'.length)}-${kind}`;
    let bytes = 0;
    await this.files.add(id, async (save) => {
      await save(
        (async function* () {
          for (const answer of answers) {
            const chunk = Buffer.from(`${JSON.stringify(lineOf(answer))}\n`);
            bytes += chunk.length;
            yield chunk;
          }
        })(),
      );
      return { bytes, filename: `${batch.id}_${kind}.jsonl`, purpose: 'batch_output' };
    });
    return id;
  }

  async #answers(batch: BatchRecord): Promise<Answer[]> {
    return (await this.store.events(itemOf(batch)).read()) as unknown as Answer[];
  }

  /** Changes the record when the changes before it are done; `change` sees what they left. */
  #update(batch: BatchRecord, change: () => Partial<BatchRecord>): Promise<void> {
    const turn = this.#writing.then(async () => {
      const changes = change();
      const known = this.#versions.get(batch.id) ?? '';
      const version = await this.#records.replace(batch.id, { ...batch, ...changes }, known);
      if (version === undefined) throw new Error(`batch ${batch.id}: its record was changed by another process`);
      this.#versions.set(batch.id, version);
      Object.assign(batch, changes);
    });
    this.#writing = turn.catch(() => {});
    return turn;
  }
}

const itemOf = ({ id }: BatchRecord) => ({ kind: 'batch', id }) as const;

const isFailure = ({ status }: Answer): boolean => status >= 400;

function lineOf({ id, status, requestId, body }: Answer): object {
  return {
    id: `batch_req_${requestId.replace(/^req_/, '')}`,
    custom_id: id,
    response: { status_code: status, request_id: requestId, body },
    error: null,
  };
}
