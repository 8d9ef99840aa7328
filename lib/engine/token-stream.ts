// The tokens of one request, on their way from the engine to their reader.
//
// Backpressure: a sequence with `maxUnread` unread tokens is parked (it leaves the batch and gives its blocks back) until
// all but a few of them are read.
import { Channel } from '../flow/channel.js';

export type Finish = 'stop' | 'length';

const maxUnread = 256;
const fewUnread = 64;

/** Leaving it, even while a read is waiting, ends the sequence at once. */
export class TokenStream<T> extends Channel<T, Finish> {
  /** Tokens of the prompt that were found in the cache: known with the first value. */
  cachedTokens = 0;

  /** `onFew` is called at each read after which few tokens are unread: time to resume a parked sequence. */
  constructor(onLeave: () => void, onFew: () => void = () => {}) {
    super({ left: 'stop', maxUnread, onLeave, onRead: () => this.unread <= fewUnread && onFew() });
  }
}
