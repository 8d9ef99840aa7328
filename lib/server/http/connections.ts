// The server's own listener: how many connections it takes, how long one may idle or stall, and which leaves first.
//
// An idle connection, slow headers among them, makes room for a new one, the one idle longest first. Where all are busy,
// some places above the limit still take probes, and everything else there is refused with a status.
import { createServer, type Server as HttpServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { mostDescriptors } from '../../files/descriptors.js';
import { ApiError } from './errors.js';

export interface ConnectionLimits {
  /** Connections that requests may take; probes have some more. */
  connections: number;
  /** Seconds that a connection stays open between two requests. */
  keepAliveSeconds: number;
  /** Seconds within which a client takes, or sends, the next bytes. */
  stallSeconds: number;
}

// Enough for the probes and scrapers of a few systems, each of which is answered within milliseconds.
const placesForProbes = 8;
// A connection takes some ten kilobytes of memory.
const mostByDefault = 10_000;
// For a large file over a slow line; headers have Node's own, shorter limit, and JSON bodies `limits.bodySeconds`.
const requestMilliseconds = 3_600_000;
const checkMilliseconds = 5000;
/** Until the system asks whether a silent peer still exists. */
const peerCheckMilliseconds = 60_000;

/** Half of the file descriptors that the process may open: models, jobs and files need the others. */
export function defaultConnections(): number {
  return Math.max(1, Math.min(mostByDefault, Math.floor(mostDescriptors() / 2)));
}

/** A listener that hands `answer` what it has room for. `isProbe` tells requests that the reserve is for. */
export function limitedListener(
  limits: ConnectionLimits,
  isProbe: (incoming: IncomingMessage) => boolean,
  answer: (incoming: IncomingMessage, outgoing: ServerResponse) => Promise<void>,
): HttpServer {
  const open = new Connections(limits.connections + placesForProbes);
  const options = {
    requestTimeout: requestMilliseconds,
    connectionsCheckingInterval: checkMilliseconds,
    keepAliveTimeout: limits.keepAliveSeconds * 1000,
    keepAlive: true,
    keepAliveInitialDelay: peerCheckMilliseconds,
  };
  const listener = createServer(options, (incoming, outgoing) => {
    open.begin(incoming, outgoing);
    if (open.busy > limits.connections && !isProbe(incoming)) refuse(outgoing);
    else void answer(incoming, outgoing);
  });
  listener.on('connection', (socket) => open.add(socket));
  listener.timeout = limits.stallSeconds * 1000;
  // Without a listener, Node would end answers too that wait for the model.
  listener.on('timeout', (socket) => {
    if (!open.isWaiting(socket)) socket.destroy();
  });
  return listener;
}

interface Exchange {
  incoming: IncomingMessage;
  outgoing: ServerResponse;
}

class Connections {
  /** The one idle longest first. */
  readonly #idle = new Set<Socket>();
  readonly #busy = new Map<Socket, Set<Exchange>>();

  constructor(private readonly most: number) {}

  /** Connections with a request in flight. */
  get busy(): number {
    return this.#busy.size;
  }

  /** Takes a connection in, and drops the one idle longest where there are too many: itself, if all others are busy. */
  add(socket: Socket): void {
    this.#idle.add(socket);
    socket.once('close', () => {
      this.#idle.delete(socket);
      this.#busy.delete(socket);
    });
    if (this.#idle.size + this.#busy.size <= this.most) return;
    const [first] = this.#idle;
    this.#idle.delete(first!);
    first!.destroy();
  }

  begin(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { socket } = incoming;
    const exchange = { incoming, outgoing };
    const exchanges = this.#busy.get(socket) ?? new Set();
    this.#busy.set(socket, exchanges.add(exchange));
    this.#idle.delete(socket);
    outgoing.once('close', () => {
      exchanges.delete(exchange);
      if (exchanges.size > 0 || !this.#busy.delete(socket) || socket.destroyed) return;
      this.#idle.add(socket);
    });
  }

  /** Whether a connection without traffic waits for the server: for an answer, or for its body to be read. */
  isWaiting(socket: Socket): boolean {
    const exchanges = this.#busy.get(socket);
    if (!exchanges || socket.writableLength > 0) return false;
    return [...exchanges].every(({ incoming }) => incoming.complete || incoming.readableLength > 0);
  }
}

function refuse(outgoing: ServerResponse): void {
  const { status, body, headers } = new ApiError(503, 'All connections are busy. Please try again later.', {
    type: 'unavailable_error',
    code: 'too_many_connections',
    headers: { 'content-type': 'application/json', 'retry-after': '1', connection: 'close' },
  });
  outgoing.writeHead(status, headers).end(JSON.stringify(body));
}
