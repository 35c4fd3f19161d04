/** Limits on requests and connections, unless a site sets its own. nginx.conf states them once for all sites; the manual quotes them. */
export const limits = {
  /** MB of a request's body; 413 above. Bodies stream to the origin without touching the disk, so this only stops requests that nobody sends on purpose. */
  maxBodyMb: 10_240,
  /** MB of one stored response; larger ones are passed on and not stored. */
  maxFileMb: 256,
  /** Seconds to reach an origin. */
  connectSeconds: 3,
  /** Seconds between two reads from it: how long it may think, how long a WebSocket may be silent. */
  readSeconds: 60,
  /** Seconds between two writes to it. */
  sendSeconds: 60,
  /** KB of the header of one request, and of one response. */
  headersKb: 64,
  /** Seconds a visitor's connection may be idle between two requests. */
  idleSeconds: 20,
  /** Requests in progress per address of an origin; further ones get 502 at once, or a stored response. */
  originRequests: 512,
  /** Requests in progress per visitor (an IPv4 address or an IPv6 /64); 503 above. */
  visitorRequests: 256,
  /** Requests in progress per site; 503 above. */
  siteRequests: 2048,
} as const;

/** KB that are read from one side of a connection of raw TCP before the other side takes them. */
export const tcpBufferKb = 16;

/**
 * Connections a PoP accepts from Fly's proxy. Three fifths of the memory that the processes leave free are for connections, each of which can hold the
 * header of a request that never ends. The rest is for requests in progress, which nginx limits itself (image/nginx/memory.c).
 */
export function connectionLimit(
  { memoryMb, cpus }: { memoryMb: number; cpus: number },
  /** Connections of the stack's other ports, which have the same memory and workers. */
  tcpConnections = 0,
): number {
  const forConnectionsKb = connectionsKb(memoryMb) - tcpConnections * tcpConnectionKb;
  const fitting = Math.floor(forConnectionsKb / (limits.headersKb + 2 + idleConnectionKb));
  // nginx has a worker for each CPU; a proxied request takes two of its connections.
  return Math.max(0, Math.min(fitting, (cpus * workerConnections) / 2 - tcpConnections));
}

const connectionsKb = (memoryMb: number): number => (Math.max(0, memoryMb - processesMb) * 1024 * 3) / 5;

/** Connections that the ports of raw TCP may have together: half of the memory for connections is the sites'. */
export const maxTcpConnections = (memoryMb: number): number =>
  Math.floor(connectionsKb(memoryMb) / 2 / tcpConnectionKb);

/** KB of a connection of raw TCP: two buffers, and what nginx and the kernel keep of its two sockets. */
export const tcpConnectionKb = 2 * tcpBufferKb + 16;

/** MB that the PoP's processes and the kernel take under load, without visitors' connections and requests; measured with `npm run soak`. */
export const processesMb = 96;

/** KB of an idle connection with TLS and HTTP/2; measured with `npm run soak`. */
export const idleConnectionKb = 40;

/** nginx's `worker_connections`. They take 7 MB of memory per worker. */
export const workerConnections = 16_384;

/** Seconds a machine has from its stop signal to its end: drained nginx and luggage that ends one after another within them. Fly's own default is 5. */
export const stopSeconds = 60;

/**
 * Timeout of Fly's check of `/healthz`, in seconds; a PoP that exceeds it is taken out of routing. `pop health` waits half as long for the parts it checks,
 * whatever hangs, and then answers with what it knows.
 */
export const checkTimeoutSeconds = 5;
