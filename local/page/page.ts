/** A page of the local stack: fetched through the edge until it is there, and what is said of it. */
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { setTimeout } from "node:timers/promises";
import { readDaemon } from "../daemon-file.ts";
import { paths } from "../paths.ts";
import { inWords } from "../progress/estimates.ts";
import { fetchPage, type Page } from "./fetch-page.ts";

/** New PoPs serve at once, with a certificate of their own; the one that is trusted, and the way to an origin at home, come seconds later. */
const joiningMs = 90_000;

/** How a page came: fetched by the first visit, stored for the next. */
export interface Shown {
  host: string;
  /** Where the edge serves https, host:port. */
  edge: string;
  pages: Page[];
  /** Milliseconds since the program started. */
  afterMs: number;
  /** What this page shows, as the end of a sentence. */
  by: string;
}

/** Fetches it twice, verified by the authorities' roots. `lacks`: what the PoP waits for while its certificate is another. */
export async function showPage(
  { host, by, lacks }: { host: string; by: string; lacks: string },
  say: (line: string) => void,
): Promise<Shown> {
  const daemon = await readDaemon();
  if (!daemon) throw new Error("Local Fly has ended. Its log: npm run local -- logs");
  if (daemon.problems.length > 0) throw new Error(daemon.problems.join("\n"));
  const edge = daemon.edge.https;
  const ca = readFileSync(paths.siteRoots, "utf8");
  const served = () => untilServed({ edge, host, ca, lacks }, say);
  // The second visit may reach another worker of nginx, which shows the former certificate for up to a second.
  const pages = [await served(), await served()];
  return { host, edge, pages, by, afterMs: performance.now() };
}

async function untilServed(
  { edge, host, ca, lacks }: { edge: string; host: string; ca: string; lacks: string },
  say: (line: string) => void,
): Promise<Page> {
  const deadline = Date.now() + joiningMs;
  let reported = "";
  for (;;) {
    const page = await fetchPage(edge, host, ca).catch((error: Error) => error);
    if (!(page instanceof Error) && page.status === 200) return page;
    const seen = page instanceof Error ? page.message : `HTTP ${page.status} from ${page.pop}`;
    if (Date.now() > deadline)
      throw new Error(
        `https://${host}/ is not served after ${joiningMs / 1000} s: ${seen}. What the PoPs say of themselves: npx fly-pops status; what local Fly and they log: npm run local -- logs`,
      );
    // Node's words for a certificate that the PoP signed itself are advice of another kind.
    const waiting = /certificate/.test(seen) ? `the PoP still ${lacks}` : seen;
    if (waiting !== reported) say(`waiting: ${waiting}`);
    reported = waiting;
    await setTimeout(200);
  }
}

/** The report of a page: its URL, when it was there, both visits. */
export const pageLines = ({ host, edge, pages, by, afterMs }: Shown): string[] => [
  `https://${host}/ through the edge at ${edge}, ${inWords(afterMs)} after the start, ${by}:`,
  ...pages.map(
    ({ status, cache, pop, milliseconds }) => `  HTTP ${status}  ${cache.padEnd(5)} from ${pop} in ${milliseconds} ms`,
  ),
];

/** A command that fetches it and trusts the authorities' roots. */
export function curlCommand({ host, edge }: Pick<Shown, "host" | "edge">): string {
  const port = edge.split(":").at(-1);
  const roots = relative(process.cwd(), paths.siteRoots);
  return `curl --cacert ${roots} --resolve ${host}:${port}:127.0.0.1 https://${host}:${port}/`;
}
