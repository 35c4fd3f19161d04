/** What the edge proxy must know of the fleet. Read for every connection, so that a cordon takes effect at once. */
export interface Routes {
  /** Every public address with its ports, of all apps. */
  listeners(): Listener[];
  /** Machines that may take a connection now: started, uncordoned, no routing check failing. */
  backends(app: string, port: number): Backend[];
  /** Calls back when `listeners()` may have changed. Returns a function that ends this. */
  onChange(changed: () => void): () => void;
}

export interface Listener {
  app: string;
  /** The anycast address as the API shows it, e.g. 203.0.113.7. */
  ip: string;
  /** The public port, e.g. 443. */
  port: number;
}

export interface Backend {
  machineId: string;
  region: string;
  /** Where the service's internal port is reached on this machine. */
  dial: { host: string; port: number };
  handlers: string[];
  proxyProtocol: "v1" | "v2" | undefined;
  softLimit: number;
  /** Infinity when none. */
  hardLimit: number;
}
