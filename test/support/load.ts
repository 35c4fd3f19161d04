/** Visitors of a site, until they are stopped: their responses that are not a page. */
import { randomUUID } from "node:crypto";
import autocannon, { type Instance, type Options, type Result } from "autocannon";
import { fetchPage, type Page } from "../../local/page/fetch-page.ts";

/** How a load went. */
export interface Outcome {
  requests: number;
  failures: string[];
}

/** Ends a load, and says how it went. */
export type Stop = () => Promise<Outcome>;

const host = "www.example.test";

/** A steady load over connections that are kept, 100 requests a second. */
export function keptLoad(https: string): Stop {
  const instance = autocannon({
    url: `https://${https}/`,
    servername: host,
    headers: { host },
    connections: 10,
    overallRate: 100,
    duration: 600,
    timeout: 10,
  } as Options & { servername: string }) as unknown as Instance & Promise<Result>;
  return async () => {
    instance.stop();
    const { requests, errors, timeouts, non2xx } = await instance;
    return {
      requests: requests.total,
      failures: Object.entries({ errors, timeouts, non2xx }).flatMap(([what, count]) =>
        count > 0 ? `${count} ${what}` : [],
      ),
    };
  };
}

/** The same with a connection of its own for each request, 25 a second. `ca` verifies the certificates. */
export const freshLoad = (https: string, ca?: string): Stop => steadyLoad(() => fetchPage(https, host, ca));

/** The same for pages that were never asked for before, so that each request has to reach the origin. */
export const uncachedLoad = (https: string): Stop =>
  steadyLoad(() => fetchPage(https, host, undefined, `/?new=${randomUUID()}`));

function steadyLoad(fetchNext: () => Promise<Page>): Stop {
  const outcome: Outcome = { requests: 0, failures: [] };
  const open = new Set<Promise<void>>();
  const timer = setInterval(() => {
    const call = fetchNext().then(
      ({ status }) => {
        outcome.requests += 1;
        if (status !== 200) outcome.failures.push(`HTTP ${status}`);
      },
      (error: Error) => {
        outcome.failures.push(error.message);
      },
    );
    open.add(call);
    void call.finally(() => open.delete(call));
  }, 40);
  return async () => {
    clearInterval(timer);
    await Promise.all(open);
    return outcome;
  };
}

/** Both at once. */
export function load(https: string, ca?: string): Stop {
  const stops = [keptLoad(https), freshLoad(https, ca)];
  return async () => {
    const outcomes = await Promise.all(stops.map((stop) => stop()));
    return {
      requests: outcomes.reduce((sum, { requests }) => sum + requests, 0),
      failures: outcomes.flatMap(({ failures }) => failures),
    };
  };
}
