/**
 * What live Fly does to its clients and a local one need not: lags, limits, unexpected rows. All off unless a test wants them, to see
 * whether a client waits as long as Fly asks it to.
 */
export interface Quirks {
  /** A new app or machine reads 404, and lists without it, for so long. */
  bornMs: number;
  /** A volume stays bound for so long after its machine went (up to two minutes on Fly). */
  boundMs: number;
  /** A machine that is deleted reads `destroying`, and keeps its name, for so long. */
  destroyingMs: number;
  /** A forced delete is taken on a host that does not answer; otherwise it is refused as all else is. */
  deletesUnreachable: boolean;
  /** A mounted volume that was extended has a larger file system only after the next boot of its machine. */
  restartToGrow: boolean;
  /** A start is refused with "still active" for so long after a stop, though the machine reads `stopped` (up to ten seconds on Fly). */
  stillActiveMs: number;
  /** Every service check has a second row, `bg_deployments_compat-<name>`, always critical. */
  mirrorChecks: boolean;
  /** Named checks of a machine only watch, of kind `readiness` too; those of its services alone steer routing. Fly's own texts say both. */
  namedChecksOnlyWatch: boolean;
  /** Fly's documented limits: an action on one object once a second, burst 3; reading a machine 5 a second, burst 10. */
  rateLimits: boolean;
  /** API servers that answer, each with a copy of the state (replicas.ts). 1: one that knows everything. */
  replicas: number;
  /** The longest that a read of a server which did not make a write itself shows what was before it. */
  staleMs: number;
  /** A cookie leads a client back to the server of its last write for so long after that write. */
  affinityMs: number;
  /** The longest that such a server answers 404 or 401 to every call below a new app. */
  newAppMs: number;
  /** How likely the server that a client is bound to goes away before its next call, so that another one answers. 0 to 1. */
  replicaGoes: number;
  /** The rows of a machine's checks are those of the version before, passing, for so long after a boot. */
  staleChecksMs: number;
  /** The names of the private network show machines as they were so long ago: one that started is missing, one that stopped is still there. */
  staleNamesMs: number;
  /** Decides all that is drawn here. */
  seed: number;
  /** How likely a list comes back empty by mistake; never twice in a row. 0 to 1. */
  emptyLists: number;
}

export const noQuirks: Quirks = {
  bornMs: 0,
  boundMs: 0,
  destroyingMs: 0,
  deletesUnreachable: false,
  restartToGrow: false,
  stillActiveMs: 0,
  mirrorChecks: false,
  namedChecksOnlyWatch: false,
  rateLimits: false,
  replicas: 1,
  staleMs: 0,
  affinityMs: 30_000,
  newAppMs: 0,
  replicaGoes: 0,
  staleChecksMs: 0,
  staleNamesMs: 0,
  seed: 1,
  emptyLists: 0,
};

/** Reads that lag writes, as far as a client that keeps its affinity cookie is spared them: what every test may meet. */
export const lagging = { replicas: 3, staleMs: 4_000, newAppMs: 4_000, staleChecksMs: 2_000 } satisfies Partial<Quirks>;
