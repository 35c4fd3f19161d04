/** Limits on requests and connections, unless a site sets its own. nginx.conf sets them once for all sites; the manual quotes them. */
export const limits = {
  /**
   * MB of a request's body; larger ones get 413. Bodies stream to the origin without touching the disk, so this limit only stops requests that cannot be
   * intended.
   */
  maxBodyMb: 10_240,
  /** MB of one stored response; larger ones are passed on and not stored. */
  maxFileMb: 256,
  /** Seconds to connect to an origin. */
  connectSeconds: 3,
  /** Seconds between two reads from an origin: how long it may take to respond, and how long a WebSocket may be silent. */
  readSeconds: 60,
  /** Seconds between two writes to an origin. */
  sendSeconds: 60,
  /** KB of the header of one request, and of one response. */
  headersKb: 64,
  /** Seconds a visitor's connection may be idle between two requests. */
  idleSeconds: 20,
  /** Requests in progress per address of an origin. Further requests get 502 at once, or a stored response. */
  originRequests: 512,
  /** Requests in progress per visitor (an IPv4 address or an IPv6 /64). Further requests get 503. */
  visitorRequests: 256,
  /** Requests in progress per site. Further requests get 503. */
  siteRequests: 2048,
} as const;

/** KB read from one side of a raw TCP connection before the other side accepts them. */
export const tcpBufferKb = 16;

/**
 * Connections that a PoP accepts from Fly's proxy. Three fifths of the memory that the processes leave free are for connections, each of which can hold the
 * header of a request that never ends. The rest is for requests in progress, which nginx limits itself (image/nginx/memory.c).
 */
export function connectionLimit(
  { memoryMb, cpus }: { memoryMb: number; cpus: number },
  /** Connections of the stack's other ports, which share the memory and the workers. */
  tcpConnections = 0,
): number {
  const forConnectionsKb = connectionsKb(memoryMb) - tcpConnections * tcpConnectionKb;
  const fitting = Math.floor(forConnectionsKb / (limits.headersKb + 2 + idleConnectionKb));
  // nginx has a worker for each CPU; a proxied request takes two of its connections.
  return Math.max(0, Math.min(fitting, (cpus * workerConnections) / 2 - tcpConnections));
}

const connectionsKb = (memoryMb: number): number => (Math.max(0, memoryMb - processesMb) * 1024 * 3) / 5;

/** Connections that all raw TCP ports may have together: half of the memory for connections is reserved for the sites. */
export const maxTcpConnections = (memoryMb: number): number =>
  Math.floor(connectionsKb(memoryMb) / 2 / tcpConnectionKb);

/** KB of a raw TCP connection: two buffers, and what nginx and the kernel keep for its two sockets. */
const tcpConnectionKb = 2 * tcpBufferKb + 16;

/** MB that the PoP's processes and the kernel use under load, without visitors' connections and requests. Measured with `npm run soak`. */
export const processesMb = 96;

/** KB of an idle connection with TLS and HTTP/2. Measured with `npm run soak`. */
export const idleConnectionKb = 40;

/** nginx's `worker_connections`. They take 7 MB of memory per worker. */
export const workerConnections = 16_384;

/**
 * Seconds a machine has to stop after its stop signal. Within them nginx drains, and luggage that depends on other luggage stops one after another. Fly's
 * default is 5.
 */
export const stopSeconds = 60;

/**
 * Timeout of Fly's check of `/healthz`, in seconds. A PoP that exceeds it is taken out of routing. `pop health` waits half as long for the components it
 * checks, then answers with what it knows.
 */
export const checkTimeoutSeconds = 5;
