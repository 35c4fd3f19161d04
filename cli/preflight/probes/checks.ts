/** Which of a machine's health checks take it out of routing. */
import { healthCheck } from "../../../components/machine-config.ts";
import { judged, probe } from "../assumption.ts";
import { type CheckPlace, checks } from "../machine.ts";
import type { Session } from "../session.ts";
import { seconds } from "../words.ts";
import { untilIn, untilOut } from "./cordon.ts";

/** From the row that says critical to the last connection that reaches the machine. */
const outMs = 10_000;
const rowMs = 60_000;

const docs = "[Fly, health checks](https://fly.io/docs/reference/health-checks/)";

export const checksProbe = probe({
  title: "health checks",
  assumptions: {
    "service-check-routes": {
      says: `A machine whose service has a failing check gets no new connections ${outMs / 1000} s after the check is critical.`,
      restsOn: ["components/machine-config.ts"],
      source: docs,
      wrongIf: "it gets some: visitors would be sent to a PoP whose nginx is down",
      playedBy: "test/cli/preflight-quirks.test.ts: checks that do not steer",
    },
    "readiness-check-routes": {
      says: "So does one with a failing check of the machine itself whose `kind` is `readiness`.",
      restsOn: ["components/machine-config.ts"],
      source: `[openapi.yaml](https://docs.machines.dev/spec/openapi3.json) has the kind and says no more; ${docs} says that such checks only watch`,
      wrongIf: "it gets some: then the check must stand in the service as well",
      playedBy: "test/cli/preflight-quirks.test.ts: checks that do not steer",
    },
    "healthy-again-routes": {
      says: "A machine whose checks pass again gets connections again by itself.",
      restsOn: ["components/machine-config.ts"],
      source: docs,
      wrongIf: "it gets none within a minute",
      playedBy: "test/cli/preflight-quirks.test.ts: a proxy that is slow to hear",
    },
  },
  async measure(session, found) {
    session.need("road");
    const seen: Record<CheckPlace, number | undefined> = {
      service: await outWhile(session, "service"),
      top: await outWhile(session, "top"),
    };
    const told = (ms: number | undefined) =>
      ms === undefined
        ? `still reached ${seconds(outMs)} after it was critical`
        : `out ${seconds(ms)} after it was critical`;
    found("service-check-routes", judged(seen.service !== undefined, told(seen.service)));
    found("readiness-check-routes", judged(seen.top !== undefined, told(seen.top)));
    const again = await untilIn(session);
    found("healthy-again-routes", judged(again !== undefined, again ? "it does" : "not within a minute"));
  },
});

/** Makes one check fail. Milliseconds from its critical row to the end of visits; undefined: they go on. Mends it in the end. */
async function outWhile(session: Session, place: CheckPlace): Promise<number | undefined> {
  const { sickness } = checks[place];
  if (!(await untilIn(session))) throw new Error("no visitor reaches the machine while its checks pass");
  await inMachine(session, ["touch", sickness]);
  await untilRow(session, place, "critical");
  const out = await untilOut(session, outMs);
  await inMachine(session, ["rm", "-f", sickness]);
  await untilRow(session, place, "passing");
  return out;
}

async function inMachine(session: Session, command: string[]): Promise<void> {
  const { exit_code = 0, stderr } = await session.fly.execMachine(session.app, session.need("traffic").id, command, 10);
  if (exit_code !== 0) throw new Error(`${command[0]} in the machine ended with ${exit_code}: ${stderr ?? ""}`);
}

async function untilRow(session: Session, place: CheckPlace, status: string): Promise<void> {
  const isIt = (name: string) => (place === "top" ? name === healthCheck : name.startsWith("servicecheck-"));
  const seen = await session.until({ everyMs: 500, forMs: rowMs }, async () => {
    const { checks } = await session.fly.getMachine(session.app, session.need("traffic").id);
    return checks?.some((row) => isIt(row.name ?? "") && row.status === status) ? true : undefined;
  });
  if (!seen)
    throw new Error(
      `the ${place === "top" ? "machine's" : "service's"} check is not ${status} after ${seconds(rowMs)}`,
    );
}
