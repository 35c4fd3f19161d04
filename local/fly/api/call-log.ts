/** Every call local Fly was asked, in order: what a test counts. Kept in memory only, for bodies may hold secrets. */
export interface LoggedCall {
  method: string;
  /** As the fault plan names it, e.g. `POST machines/:id`; undefined for paths no route has. */
  route: string | undefined;
  path: string;
  /** Query as text, without the question mark. */
  query: string;
  body: unknown;
  /** 0: the connection was dropped, no answer. */
  status: number;
  /** Milliseconds since the epoch, by the server's clock. */
  at: number;
}

export interface CallLog {
  /** The newest ones, oldest first. */
  readonly list: readonly LoggedCall[];
  /** Calls of a route (`POST machines/:id`), of a method (`POST`), or all of them. Counts what the list has forgotten too. */
  count(pattern?: string): number;
  /** Everything but reads: calls that may have changed something. */
  mutations(): number;
  clear(): void;
  add(call: LoggedCall): void;
}

/** A server that runs for days must not keep them all. */
const longest = 10_000;

export function createCallLog(): CallLog {
  const list: LoggedCall[] = [];
  const perRoute = new Map<string, number>();
  const sum = (matches: (route: string) => boolean) =>
    [...perRoute].reduce((total, [route, count]) => (matches(route) ? total + count : total), 0);
  return {
    list,
    count: (pattern) => sum((route) => pattern === undefined || route === pattern || route.startsWith(`${pattern} `)),
    mutations: () => sum((route) => !route.startsWith("GET ")),
    clear() {
      list.length = 0;
      perRoute.clear();
    },
    add(call) {
      list.push(call);
      if (list.length > longest) list.shift();
      const key = call.route ?? `${call.method} ?`;
      perRoute.set(key, (perRoute.get(key) ?? 0) + 1);
    },
  };
}
