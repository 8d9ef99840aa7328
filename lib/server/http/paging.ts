// Lists a page at a time, as OpenAI's clients walk through them: `limit` items behind the one that `after` names, until
// `has_more` is false. Where items can be deleted, `after` stands for a place among them: it may be gone by the time that
// the next page is asked for.
import type { Context } from 'hono';
import { badRequest } from './errors.js';

export interface Page<T> {
  data: T[];
  has_more: boolean;
}

/**
 * The page that the query asks for. `behind` finds the first item behind one that is not in the list any more: -1 where
 * it is unknown, the list's length where nothing is left.
 *
 * @throws ApiError 400 for a wrong `limit` or an `after` that was never in the list.
 */
export function pageOf<T extends { id: string }>(
  c: Context,
  items: readonly T[],
  { limit: standard, most, behind }: { limit: number; most: number; behind?: (after: string) => number },
): Page<T> {
  const after = c.req.query('after');
  const limit = limitOf(c.req.query('limit'), standard, most);
  let start = 0;
  if (after) {
    const at = items.findIndex(({ id }) => id === after);
    start = at >= 0 ? at + 1 : (behind?.(after) ?? -1);
    if (start < 0) throw badRequest(`'after': there is no item ${JSON.stringify(after.slice(0, 100))}.`, 'after');
  }
  return { data: items.slice(start, start + limit), has_more: start + limit < items.length };
}

function limitOf(text: string | undefined, standard: number, most: number): number {
  if (text === undefined || text === '') return standard;
  const limit = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > most) throw badRequest(`'limit' must be an integer from 1 to ${most}.`, 'limit');
  return limit;
}
