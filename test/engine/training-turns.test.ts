// Whose turn it is on a device that training and serving share, on a simulated clock: shares, debts, fences, failures.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { beforeEach, expect, it } from 'vitest';
import { TrainingTurns } from '../../lib/engine/training-turns.js';
import { SimulatedClock, slowDevice } from './simulated-clock.js';

let clock: SimulatedClock;
beforeEach(() => {
  clock = new SimulatedClock();
});

it('turns are shared as asked, and nobody waits for ever', async () => {
  const owner = {};
  const turns = new TrainingTurns(() => clock.sleep(6), clock);
  turns.enter(0.25);
  let serving = true;
  let taken = 0;
  const training = (async () => {
    for (let i = 0; i < 1000 && serving; i++) {
      await turns.turn(owner);
      taken++;
    }
  })();
  const share = await clock.run(async () => {
    const began = clock.now();
    let granted = 0;
    while (clock.now() - began < 600) {
      await clock.sleep(4); // a step of serving
      if (!turns.due(0.25)) continue;
      const start = clock.now();
      await turns.grant();
      granted += clock.now() - start;
    }
    return granted / (clock.now() - began);
  });
  expect(share).toBeGreaterThan(0.1);
  expect(share).toBeLessThan(0.35);
  serving = false;
  turns.leave();
  await clock.run(() => training);
  expect(taken).toBeGreaterThan(5);

  turns.enter(0.25);
  const stop = new AbortController();
  const left = expect(turns.turn(owner, stop.signal)).rejects.toThrow('stopped');
  stop.abort(new Error('stopped'));
  await left;
  const refused = expect(turns.turn(owner)).rejects.toThrow('gone');
  const stays = turns.turn({});
  turns.refuse(owner, new Error('gone'));
  await refused;
  turns.leave();
  await stays;
  expect(turns.due(0.25)).toBe(false);
});

it.each([3, 20])('training of %d ms a stretch stays about a serving step ahead of the device', async (milliseconds) => {
  const device = slowDevice(clock, milliseconds);
  const turns = new TrainingTurns(device.fence, clock);
  let most = 0;
  await clock.run(async () => {
    for (let i = 0; i < 24; i++) {
      device.work();
      await turns.turn({});
      if (i >= 12) most = Math.max(most, device.queued() * milliseconds);
    }
  });
  expect(most).toBeLessThanOrEqual(Math.max(20, milliseconds));
});

it('what was queued when serving began is paid back, and so is a long stretch, whenever serving ends', async () => {
  const device = slowDevice(clock, 40);
  const turns = new TrainingTurns(device.fence, clock);
  const owner = {};
  for (let i = 0; i < 2; i++) {
    device.work();
    void turns.turn(owner);
  }
  turns.enter(0.5);
  void turns.turn(owner);
  await clock.run(() => clock.sleep(90));
  expect(turns.due(0.5)).toBe(false); // 80 ms were taken
  turns.leave();
  turns.enter(0.5);
  void turns.turn(owner);
  await clock.run(() => clock.sleep(20));
  expect(turns.due(0.5)).toBe(false);
  await clock.run(() => clock.sleep(120));
  expect(turns.due(0.5)).toBe(true);
});

it('short stretches share a turn, also those that are queued by and by', async () => {
  const device = slowDevice(clock, 0.5);
  const turns = new TrainingTurns(device.fence, clock);
  turns.enter(0.5);
  let taken = 0;
  void (async () => {
    for (; taken < 10_000; taken++) {
      device.work();
      await turns.turn({});
      await nextTurn();
    }
  })();
  const grants = 20;
  let given = 0;
  await clock.run(async () => {
    for (let i = 0; i < grants; i++) {
      await clock.sleep(8);
      if (!turns.due(0.5)) continue;
      await turns.grant();
      given++;
    }
  });
  expect(given).toBeGreaterThan(grants / 2);
  expect(taken).toBeGreaterThan(2 * given);
});

it('a stretch after which training asks late for the next is counted once', async () => {
  const device = slowDevice(clock, 6);
  const turns = new TrainingTurns(device.fence, clock);
  turns.enter(0.5);
  void (async () => {
    for (let i = 0; i < 100; i++) {
      await turns.turn({});
      device.work();
      await clock.sleep(7); // reads what it computed
    }
  })();
  let given = 0;
  await clock.run(async () => {
    for (let i = 0; i < 20; i++) {
      await clock.sleep(8);
      if (!turns.due(0.5)) continue;
      await turns.grant();
      given++;
    }
  });
  expect(given).toBeGreaterThanOrEqual(18);
});

it('stretches that were queued outside a turn while something was served are paid back by what they usually take', async () => {
  const device = slowDevice(clock, 4);
  const turns = new TrainingTurns(device.fence, clock);
  const queue = () => {
    device.work();
    return turns.turn({});
  };
  await clock.run(async () => {
    for (let i = 0; i < 40; i++) await queue();
    await clock.sleep(200);
  });
  turns.enter(0.5);
  await clock.run(() => clock.sleep(1));
  for (let i = 0; i < 5; i++) void queue();
  await clock.run(() => clock.sleep(18));
  expect(turns.due(0.5)).toBe(false); // 5 × 4 ms
  await clock.run(() => clock.sleep(4));
  expect(turns.due(0.5)).toBe(true);
});

it('short stretches share a fence', async () => {
  const device = slowDevice(clock, 0.125);
  let fences = 0;
  const turns = new TrainingTurns(() => {
    fences++;
    return device.fence();
  }, clock);
  await clock.run(async () => {
    for (let i = 0; i < 400; i++) {
      device.work();
      await turns.turn({});
    }
  });
  expect(fences).toBeGreaterThan(1);
  expect(fences).toBeLessThan(100);
});

it('a failed fence was reached', async () => {
  const turns = new TrainingTurns(() => Promise.reject(new Error('of somebody else')), clock);
  await clock.run(async () => {
    for (let i = 0; i < 40; i++) await turns.turn({});
    turns.enter(0.5);
    const turn = turns.turn({});
    while (!turns.due(0.5)) await clock.sleep(2);
    await turns.grant();
    await turn;
  });
  expect(clock.now()).toBeGreaterThan(0);
});
