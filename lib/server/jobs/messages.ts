// What the events of a job say.
//
// A change of a job is stored in its record first. Events of the job's states follow from the record, so that missing ones
// are emitted again after a crash or a failed write.
import { evalName } from '../../train/figures.js';
import { figuresOf, type MethodName, methods } from '../../train/methods/index.js';
import type { TrainStep } from '../../train/step.js';
import { type EventDetails, eventOf, type JobEvent, type JobEvents } from './events.js';
import type { JobRecord } from './record.js';

/** The events of a new job. */
export function firstEvents({ id, integrations }: Pick<JobRecord, 'id' | 'integrations'>): JobEvent[] {
  const events = [eventOf(id, 'created', `Created fine-tuning job: ${id}`)];
  if (integrations.length > 0) {
    const message = "'integrations' are kept but not carried out: this server sends nothing to Weights & Biases";
    events.push(eventOf(id, 'integrations', message, { level: 'warn' }));
  }
  return events;
}

/** Appends the events that follow from the record; those that are there are kept once. */
export async function addStateEvents(events: JobEvents, job: JobRecord): Promise<void> {
  const { status, longestRow, pausedAt, resumedAt } = job;
  const states: [key: string, message: string, details?: EventDetails][] = [];
  if (longestRow !== undefined) states.push(['queued', 'Files validated, moving job to queued state']);
  if (status === 'running') states.push(['started', 'Fine-tuning job started']);
  if (pausedAt !== undefined) states.push([`paused:${pausedAt}`, 'The job has been paused']);
  if (resumedAt !== undefined) states.push([`resumed:${resumedAt}`, 'The job has been resumed']);
  if (status === 'succeeded') {
    states.push(['model', `New fine-tuned model created: ${job.name}`]);
    states.push(['succeeded', 'The job has successfully completed']);
  }
  if (status === 'failed') states.push(['failed', `The job failed: ${job.error?.message}`, { level: 'error' }]);
  if (status === 'cancelled') states.push(['cancelled', 'The job has been cancelled']);
  for (const [key, message, details] of states) await events.add(key, message, details);
}

/** Appends the event of a training step, with the method's figures by their names on the wire. */
export async function addStepEvent(events: JobEvents, method: MethodName, step: TrainStep): Promise<void> {
  const { loss, evalLoss } = step;
  const own = figuresOf(methods[method]);
  const valued: Readonly<Record<string, unknown>> = { ...step };
  const named = (prefix: string, list: typeof own, key: (figure: string) => string): Record<string, unknown> =>
    Object.fromEntries(list.map(([figure, { wire }]) => [`${prefix}_${wire.name}`, valued[key(figure)]]));
  const inCheckpoints = own.filter(([, { wire }]) => wire.inCheckpoints);
  const figures: Record<string, unknown> = {
    step: step.step,
    total_steps: step.steps,
    train_loss: loss,
    ...named('train', own, (figure) => figure),
    train_tokens: step.tokens,
    learning_rate: step.learningRate,
    valid_loss: evalLoss,
    ...named('valid', own, evalName),
    // The whole file is measured each time.
    full_valid_loss: evalLoss,
    ...named('full_valid', inCheckpoints, evalName),
  };
  const data = Object.fromEntries(Object.entries(figures).filter(([, value]) => value !== undefined));
  const measured = evalLoss === undefined ? '' : `, validation loss=${evalLoss.toFixed(2)}`;
  const message = `Step ${step.step}/${step.steps}: training loss=${loss.toFixed(2)}${measured}`;
  await events.add(`step:${step.step}`, message, { data });
}
