// Channels: order, ends, failures, readers that leave, and what a full channel asks of its producers.
import { describe, expect, it } from 'vitest';
import { Channel } from '../../lib/flow/channel.js';

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const filled = (count: number, options: { maxUnread?: number; onRead?: () => void } = {}): Channel<number, string> => {
  const channel = new Channel<number, string>({ left: 'left', ...options });
  for (let i = 0; i < count; i++) channel.push(i);
  return channel;
};

describe('a channel', () => {
  it('gives its values in order, then its end', async () => {
    const channel = filled(3);
    channel.finish('end');
    channel.push(3);
    channel.finish('another');
    const got: number[] = [];
    for (;;) {
      const next = await channel.next();
      if (next.done) {
        expect(next.value).toBe('end');
        break;
      }
      got.push(next.value);
    }
    expect(got).toEqual([0, 1, 2]);
    expect(await channel.next()).toEqual({ done: true, value: 'end' });
  });

  it('holds undefined like any other value', async () => {
    const channel = new Channel<undefined, string>({ left: 'left' });
    channel.push(undefined);
    channel.finish('end');
    expect(await channel.next()).toEqual({ done: false, value: undefined });
  });

  it('gives each value to one of its readers, in the order of their calls', async () => {
    const channel = filled(0);
    const reads = [channel.next(), channel.next(), channel.next()];
    channel.push(1);
    channel.push(2);
    channel.finish('end');
    expect((await Promise.all(reads)).map(({ value }) => value)).toEqual([1, 2, 'end']);
    expect(channel.unread).toBe(0);
  });

  it('gives a failure to one reader, after the values; the others find the end', async () => {
    const channel = filled(1);
    channel.fail(new Error('broken'));
    expect((await channel.next()).value).toBe(0);
    await expect(channel.next()).rejects.toThrow('broken');
    expect(await channel.next()).toEqual({ done: true, value: 'left' });
    const waiting = filled(0);
    const reads = Promise.allSettled([waiting.next(), waiting.next()]);
    waiting.fail(new Error('broken'));
    expect((await reads).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
  });

  it('is left at once, even while a read waits, and drops what is unread', async () => {
    let left = 0;
    const channel = new Channel<number, string>({ left: 'left', onLeave: () => left++ });
    const read = channel.next();
    await channel.return();
    expect(await read).toEqual({ done: true, value: 'left' });
    channel.push(1);
    expect([channel.unread, left]).toEqual([0, 1]);
    const other = filled(5);
    for await (const _ of other) break;
    expect(other.unread).toBe(0);
    await expect(filled(1).throw(new Error('thrown'))).rejects.toThrow('thrown');
  });

  it('says when there is something to read, and takes nothing', async () => {
    const channel = filled(0);
    const ready = channel.ready();
    channel.push(1);
    await ready;
    await channel.ready();
    expect(channel.unread).toBe(1);
    const ended = filled(0);
    const end = ended.ready();
    ended.finish('end');
    await end;
  });
});

describe('a full channel', () => {
  it('lets its producers go on when a value is read', async () => {
    const channel = filled(2, { maxUnread: 2 });
    let rooms = 0;
    for (let i = 0; i < 3; i++) void channel.room().then(() => rooms++);
    await settle();
    expect([channel.full, rooms]).toEqual([true, 0]);
    await channel.next();
    await settle();
    expect([channel.full, rooms]).toEqual([false, 3]);
  });

  it.each(['release', 'return', 'finish'] as const)('holds no producer up after %s', async (way) => {
    const channel = filled(3, { maxUnread: 2 });
    const room = channel.room();
    if (way === 'release') channel.release();
    else if (way === 'finish') channel.finish('end');
    else await channel.return();
    await room;
    for (let i = 0; i < 9; i++) channel.push(i);
    expect(channel.full).toBe(false);
    await channel.room();
  });

  it('takes more than its bound, and tells of each read', async () => {
    let reads = 0;
    const channel = filled(5, { maxUnread: 2, onRead: () => reads++ });
    for (let left = 4; left >= 0; left--) {
      await channel.next();
      expect([channel.unread, channel.full, reads]).toEqual([left, left >= 2, 5 - left]);
    }
  });
});
