// Learning-rate schedules: the factor of the peak rate at each step, as transformers' get_*_schedule_with_warmup gives
// it. With n steps done, w of warm-up and t in all:
//
//   n < w      n / w                              (so the first step of a warm-up has rate 0)
//   constant   1
//   linear     (t - n) / (t - w)
//   cosine     (1 + cos(π (n - w) / (t - w))) / 2

export const scheduleNames = ['constant', 'linear', 'cosine'] as const;
export type ScheduleName = (typeof scheduleNames)[number];

export interface Schedule {
  name: ScheduleName;
  /** Steps until the peak rate is reached. */
  warmupSteps: number;
  totalSteps: number;
}

/** The share of the peak learning rate after `done` steps. */
export function rateFactor({ name, warmupSteps, totalSteps }: Schedule, done: number): number {
  if (done < warmupSteps) return done / warmupSteps;
  if (name === 'constant') return 1;
  const length = Math.max(1, totalSteps - warmupSteps);
  if (name === 'linear') return Math.max(0, (totalSteps - done) / length);
  return Math.max(0, 0.5 * (1 + Math.cos(Math.PI * ((done - warmupSteps) / length))));
}

/** Steps of warm-up: given as such, or as a share of all steps, rounded up. */
export function warmupLength(options: { warmupSteps?: number; warmupRatio?: number }, totalSteps: number): number {
  return options.warmupSteps ?? Math.ceil(totalSteps * (options.warmupRatio ?? 0));
}
