/**
 * The suite's server and its client, in a thread of their own: both keep their state in modules, and a second run must not find the first one's. Not by the
 * suite's own scripts: its server also hands out the files of the working directory, on all addresses.
 */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { join } from "node:path";
import { parentPort, workerData } from "node:worker_threads";
import { fetchFrom } from "./fetch.ts";
import { host } from "./spec.ts";
import { type Outcomes, type SuiteTest, withDependencies } from "./verdict.ts";

export interface Task {
  /** The directory of the suite. */
  dir: string;
  origin: { host: string; port: number };
  /** Port of 127.0.0.1 where the PoP's https port is published. */
  popPort: number;
  /** Only tests whose ids begin so, and what they depend on. Absent: all. */
  only?: string;
  /** Whether requests and answers of these tests are printed. */
  dump: boolean;
}

export interface Done {
  tests: SuiteTest[];
  outcomes: Outcomes;
  /** What the suite's own pages show for each test: a character. */
  shown: Record<string, string>;
}

interface Suite {
  id: string;
  tests: SuiteTest[];
}

type Handler = (segments: string[], request: IncomingMessage, response: ServerResponse) => void;

const { dir, origin, popPort, only, dump } = workerData as Task;
const load = async <Module>(path: string): Promise<Module> => (await import(join(dir, path))) as Module;

async function serve(): Promise<void> {
  const handler = async (name: string) => (await load<{ default: Handler }>(`server/handle-${name}.mjs`)).default;
  const handlers = new Map([
    ["config", await handler("config")],
    ["state", await handler("state")],
    ["test", await handler("test")],
  ]);
  const server = createServer((request, response) => {
    const [, first = "", ...segments] = new URL(request.url ?? "", "http://origin").pathname.split("/");
    const handle = handlers.get(first);
    if (handle) handle(segments, request, response);
    else response.writeHead(404).end();
  });
  await new Promise<void>((listening, failed) =>
    server.once("error", failed).listen(origin.port, origin.host, listening),
  );
}

/** As the suite's command line has them: the tests of its pages, and one group more. */
async function suites(): Promise<Suite[]> {
  const { default: pages } = await load<{ default: Suite[] }>("tests/index.mjs");
  const { default: surrogates } = await load<{ default: Suite }>("tests/surrogate-control.mjs");
  return [...pages, surrogates];
}

/** Tests at once, of which each has one request in progress: most of the time they wait. A PoP lets one visitor have 256 in progress (image/limits.ts). */
const together = 200;

const all = await suites();
const tests = withDependencies(
  all.flatMap((suite) => suite.tests),
  only,
);
if (dump) for (const test of tests) Object.assign(test, { dump });
await serve();
const runner = await load<{
  runTests(suites: Suite[], fetch: unknown, browser: boolean, base: string, together: number): Promise<void>;
  getResults(): Outcomes;
}>("client/runner.mjs");
await runner.runTests([{ id: "chosen", tests }], fetchFrom(popPort), false, `https://${host}`, together);
const outcomes = runner.getResults();
const { determineTestResult } = await load<{
  determineTestResult(suites: Suite[], id: string, outcomes: Outcomes): [string, string, string];
}>("lib/display.mjs");
const shown = Object.fromEntries(tests.map(({ id }) => [id, determineTestResult(all, id, outcomes)[2]]));
// Plain copies: the client has put what cannot be posted into the tests.
const plain = tests.map(({ id, kind, depends_on, name }) => ({ id, kind, depends_on, name })) as SuiteTest[];
parentPort?.postMessage({ tests: plain, outcomes, shown } satisfies Done);
