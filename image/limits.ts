/** What holds for a request that is passed on, where its site says nothing else. nginx.conf says it once for all, the config's manual quotes it. */
export const limits = {
  /** MB of a request's body, 413 above. */
  maxBodyMb: 32,
  /** Seconds to reach an origin. */
  connectSeconds: 5,
  /** Seconds between two reads from it: how long it may think, how long a WebSocket may be silent. */
  readSeconds: 60,
  /** Seconds between two writes to it. */
  sendSeconds: 60,
} as const;

/** Seconds a machine has from its stop signal to its end: drained nginx and luggage that ends one after another within them. Fly's own default is 5. */
export const stopSeconds = 60;
