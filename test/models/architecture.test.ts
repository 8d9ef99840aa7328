// What architectures share, where no golden says it.
import { expect, it } from 'vitest';
import { lateWindows } from '../../lib/models/architecture.js';

it('windows begin where transformers lets them: at layer 28, 4096 tokens, unless the config says otherwise', () => {
  const windows = (more: object) => lateWindows('config.json', { num_hidden_layers: 30, ...more });
  const from = (first: number, size: number) => Array.from({ length: 30 }, (_, i) => (i < first ? undefined : size));
  expect(windows({})).toEqual(from(30, 0));
  expect(windows({ sliding_window: 7 })).toEqual(from(30, 0));
  expect(windows({ use_sliding_window: true })).toEqual(from(28, 4096));
  expect(windows({ use_sliding_window: true, sliding_window: null })).toEqual(from(30, 0));
  expect(windows({ use_sliding_window: true, sliding_window: 7, max_window_layers: 0 })).toEqual(from(0, 7));
});
