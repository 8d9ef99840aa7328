// The special tokens around a text, or around two, that a tokenizer.json's post-processor puts there; and how two texts are
// cut to fit.

/** A step of a template: tokens of its own, or the first or the second text. `type` is the token type id. */
type Step = { ids: readonly number[]; type: number } | { text: 'A' | 'B'; type: number };

export interface Templates {
  single: readonly Step[];
  pair: readonly Step[];
}

export interface Encoding {
  ids: number[];
  /** Which text a token belongs to, for models with embeddings of that: 0 or 1. */
  typeIds: number[];
}

interface ProcessorJson {
  type: string;
  [field: string]: unknown;
}

const a = (type = 0): Step => ({ text: 'A', type });
const b = (type = 1): Step => ({ text: 'B', type });
const bare: Templates = { single: [a()], pair: [a(), b()] };

/**
 * @param idOf The id of a token.
 * @throws Error naming the processor that is not supported, or the token that is none.
 */
export function templatesOf(json: unknown, idOf: (token: string) => number | undefined): Templates {
  if (json === null || json === undefined) return bare;
  const processor = json as ProcessorJson;
  switch (processor.type) {
    case 'ByteLevel':
      return bare;
    case 'Sequence': {
      const all = ((processor.processors ?? []) as unknown[]).map((step) => templatesOf(step, idOf));
      const adding = all.filter((templates) => templates !== bare);
      if (adding.length > 1) throw new Error('post_processor has several steps that add tokens: expected one');
      return adding[0] ?? bare;
    }
    case 'TemplateProcessing':
      return {
        single: stepsOf(processor.single, processor, idOf),
        pair: stepsOf(processor.pair, processor, idOf),
      };
    case 'BertProcessing': {
      const [before, after] = [special(processor.cls, idOf), special(processor.sep, idOf)];
      const single = [before(0), a(), after(0)];
      return { single, pair: [...single, b(), after(1)] };
    }
    case 'RobertaProcessing': {
      const [before, after] = [special(processor.cls, idOf), special(processor.sep, idOf)];
      const single = [before(0), a(), after(0)];
      return { single, pair: [...single, after(0), b(0), after(0)] };
    }
    default:
      throw new Error(
        `post_processor "${processor.type}" is not supported: expected TemplateProcessing, BertProcessing, ` +
          'RobertaProcessing, ByteLevel or a Sequence of them',
      );
  }
}

/** A token of BertProcessing and RobertaProcessing: text and id. */
function special(entry: unknown, idOf: (token: string) => number | undefined): (type: number) => Step {
  const [token, id] = Array.isArray(entry) ? entry : [];
  return (type) => ({ ids: [idIn(typeof id === 'number' ? id : idOf(String(token)), token)], type });
}

function stepsOf(json: unknown, processor: ProcessorJson, idOf: (token: string) => number | undefined): Step[] {
  const known = (processor.special_tokens ?? {}) as Record<string, { ids?: number[] } | undefined>;
  const steps = Array.isArray(json) ? (json as Record<string, { id: string; type_id?: number } | undefined>[]) : [];
  return steps.map(({ SpecialToken: token, Sequence: text }) => {
    if (token) return { ids: known[token.id]?.ids ?? [idIn(idOf(token.id), token.id)], type: token.type_id ?? 0 };
    return { text: text?.id === 'B' ? 'B' : 'A', type: text?.type_id ?? 0 };
  });
}

function idIn(id: number | undefined, token: unknown): number {
  if (id === undefined) throw new Error(`post_processor puts "${String(token)}" around texts, which is no token`);
  return id;
}

/** How many tokens a template adds. */
export function countAdded(steps: readonly Step[]): number {
  return steps.reduce((count, step) => count + ('ids' in step ? step.ids.length : 0), 0);
}

/** The texts with a template's tokens. */
export function filled(steps: readonly Step[], first: readonly number[], second: readonly number[] = []): Encoding {
  const ids: number[] = [];
  const typeIds: number[] = [];
  for (const step of steps) {
    const some = 'ids' in step ? step.ids : step.text === 'A' ? first : second;
    for (const id of some) {
      ids.push(id);
      typeIds.push(step.type);
    }
  }
  return { ids, typeIds };
}

/**
 * The lengths that two texts keep where `most` tokens fit: the longer is cut first, as the tokenizers library's
 * `longest_first` does. Of two that are cut, the longer has an odd token more, or the second.
 */
export function longestFirst(first: number, second: number, most: number): [first: number, second: number] {
  if (first + second <= most) return [first, second];
  const short = Math.min(first, second, Math.floor(most / 2));
  return first > second ? [most - short, short] : [short, most - short];
}
