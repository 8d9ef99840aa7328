// /v1/fine_tuning/jobs: create, list, retrieve, cancel, pause, resume, events, checkpoints.
import { type Context, Hono } from 'hono';
import type { ServerContext } from '../context.js';
import type { ServerData } from '../data.js';
import { jsonBody } from '../http/body.js';
import { notFound } from '../http/errors.js';
import { pageOf } from '../http/paging.js';
import { createJob } from './create.js';
import { eventId } from './events.js';
import { addStateEvents } from './messages.js';
import type { JobRecord } from './record.js';
import { checkpointId, checkpointObject, createSchema, eventObject, jobObject } from './shapes.js';

export function jobRoutes(context: ServerContext, data: ServerData): Hono {
  const { jobs, runner } = data;
  const routes = new Hono();
  const shown = (job: JobRecord): object => {
    // Its record may say `running`, where nothing could be written since.
    const present = runner.waits(job) && job.status === 'running' ? { ...job, status: 'queued' as const } : job;
    return jobObject(present, context.settings.organization, runner.estimatedFinish(job));
  };
  const known = (c: Context): JobRecord => {
    const id = c.req.param('id') ?? '';
    const job = jobs.get(id);
    if (!job) throw notFound(`There is no fine-tuning job ${JSON.stringify(id.slice(0, 100))}.`, 'fine_tuning_job_id');
    return job;
  };

  routes.post('/fine_tuning/jobs', async (c) => {
    const request = await jsonBody(c, context, createSchema);
    const job = await createJob(context, data, request, c.req.raw.signal);
    runner.add(job);
    context.log.info({ job: job.id, model: job.base, method: job.method }, 'job created');
    return c.json(shown(job));
  });

  routes.get('/fine_tuning/jobs', (c) => {
    const { data, has_more } = pageOf(c, jobs.all.reverse().filter(metadataFilter(c)), { limit: 20, most: 1000 });
    return c.json({ object: 'list', data: data.map(shown), has_more });
  });

  routes.get('/fine_tuning/jobs/:id', (c) => c.json(shown(known(c))));

  for (const change of ['cancel', 'pause', 'resume'] as const) {
    routes.post(`/fine_tuning/jobs/:id/${change}`, async (c) => {
      const job = known(c);
      await runner[change](job);
      return c.json(shown(job));
    });
  }

  routes.get('/fine_tuning/jobs/:id/events', async (c) => {
    const job = known(c);
    const events = jobs.events(job.id);
    // The record changes first: a client that saw it finds the events that follow from it.
    await addStateEvents(events, job);
    const { data, has_more } = pageOf(c, (await events.all()).reverse(), { limit: 20, most: 10_000 });
    return c.json({ object: 'list', data: data.map(eventObject), has_more });
  });

  routes.get('/fine_tuning/jobs/:id/checkpoints', async (c) => {
    const job = known(c);
    const events = await jobs.events(job.id).all();
    const byId = new Map(events.map((event) => [event.id, event]));
    const made = events.reverse().filter(({ type, data }) => type === 'message' && data?.step !== undefined);
    const items = made.map((event) => ({ id: checkpointId(event), event }));
    const page = pageOf(c, items, { limit: 10, most: 1000 });
    const data = page.data.map(({ event }) =>
      checkpointObject(job, event, byId.get(eventId(job.id, `step:${event.data?.step}`))?.data),
    );
    const { has_more } = page;
    const [first_id, last_id] = [data[0]?.id ?? null, data.at(-1)?.id ?? null];
    return c.json({ object: 'list', data, first_id, last_id, has_more });
  });
  return routes;
}

/** `metadata[key]=value` as often as wanted, or `metadata=null` for jobs without any; OpenAI's client sends `metadata=`. */
function metadataFilter(c: Context): (job: JobRecord) => boolean {
  const query = Object.entries(c.req.query());
  if (query.some(([name, value]) => name === 'metadata' && (value === 'null' || value === ''))) {
    return ({ metadata }) => Object.keys(metadata ?? {}).length === 0;
  }
  const wanted = query.flatMap(([name, value]) => {
    const key = /^metadata\[(.*)\]$/.exec(name)?.[1];
    return key === undefined ? [] : [[key, value] as const];
  });
  return ({ metadata }) => wanted.every(([key, value]) => metadata?.[key] === value);
}
