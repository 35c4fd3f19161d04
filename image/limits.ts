/** Bounds of requests and connections, where a site says nothing else. nginx.conf states them once for all sites; the manual quotes them. */
export const limits = {
  /** MB of a request's body, 413 above. Bodies stream to the origin and touch no disk, so the bound only stops what nobody sends on purpose. */
  maxBodyMb: 10_240,
  /** MB of one stored answer; what is larger is passed on and not stored. */
  maxFileMb: 256,
  /** Seconds to reach an origin. */
  connectSeconds: 3,
  /** Seconds between two reads from it: how long it may think, how long a WebSocket may be silent. */
  readSeconds: 60,
  /** Seconds between two writes to it. */
  sendSeconds: 60,
  /** KB of the headers of one request, and of one answer. */
  headersKb: 64,
  /** Seconds a visitor's connection may be idle between two requests. */
  idleSeconds: 20,
  /** Requests one address of an origin has under way at the same time; those above are answered 502 at once, or from what is stored. */
  originRequests: 512,
  /** Requests of one visitor (an IPv4 address, an IPv6 /64) under way at the same time, 503 above. */
  visitorRequests: 256,
  /** Requests of one site under way at the same time, 503 above. */
  siteRequests: 2048,
} as const;

/**
 * Connections a PoP takes from Fly's proxy. Of what the processes leave of the machine's memory three fifths are for connections, each of which can hold
 * the headers of a request that never ends; the rest is for requests under way, which nginx bounds by itself (image/nginx/memory.c).
 */
export function connectionLimit({ memoryMb, cpus }: { memoryMb: number; cpus: number }): number {
  const forConnectionsKb = (Math.max(0, memoryMb - processesMb) * 1024 * 3) / 5;
  const fitting = Math.floor(forConnectionsKb / (limits.headersKb + 2 + idleConnectionKb));
  // nginx has a worker for each CPU; a proxied request takes two of its connections.
  return Math.min(fitting, (cpus * workerConnections) / 2);
}

/** What the PoP's processes and the kernel take under load, without what visitors' connections and requests take, MB: measured with `npm run soak`. */
export const processesMb = 96;

/** An idle connection with TLS and HTTP/2, KB: measured with `npm run soak`. */
export const idleConnectionKb = 40;

/** nginx's, per worker. 7 MB of memory each. */
export const workerConnections = 16_384;

/** Seconds a machine has from its stop signal to its end: drained nginx and luggage that ends one after another within them. Fly's own default is 5. */
export const stopSeconds = 60;

/**
 * Seconds in which `/healthz` must have answered Fly's check; beyond that the PoP is out of routing. `pop health` asks for half as long, whatever hangs behind
 * it, and then answers with what it knows.
 */
export const checkTimeoutSeconds = 5;
