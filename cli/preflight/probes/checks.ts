/** Which of a machine's health checks take it out of routing. */
import { healthCheck } from "../../../components/machine-config.ts";
import { type Finding, notMeasured, probe, resultOf } from "../assumption.ts";
import { type CheckPlace, checks } from "../machine.ts";
import type { Session } from "../session.ts";
import { seconds } from "../text.ts";
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
      playedBy: "test/provider/local-fly/routes.test.ts: checks of services and readiness checks steer traffic",
    },
    "readiness-check-routes": {
      says: "The same holds for a failing check of the machine itself whose `kind` is `readiness`.",
      restsOn: ["components/machine-config.ts"],
      source: `[openapi.yaml](https://docs.machines.dev/spec/openapi3.json) has the kind and says no more; ${docs} says that such checks only watch`,
      wrongIf: "it gets some: then the service needs the check too",
      playedBy: "test/provider/local-fly/routes.test.ts: checks of services and readiness checks steer traffic",
    },
    "healthy-again-routes": {
      says: "A machine whose checks pass again gets connections again, without a call.",
      restsOn: ["components/machine-config.ts"],
      source: docs,
      wrongIf: "it gets none within a minute",
    },
  },
  async measure(session, found) {
    session.require("road");
    const service = await outWhile(session, "service");
    found("service-check-routes", out(service.out));
    if (!service.again) return found("healthy-again-routes", resultOf(false, "not within a minute"));
    const top = await outWhile(session, "top");
    found("readiness-check-routes", out(top.out));
    // What never went out says nothing of coming back.
    const measured = service.out !== undefined || top.out !== undefined;
    const again = resultOf(top.again, top.again ? "it does" : "not within a minute");
    found("healthy-again-routes", measured ? again : notMeasured("it was never taken out"));
  },
});

const out = (ms: number | undefined): Finding =>
  resultOf(
    ms !== undefined,
    ms === undefined
      ? `still reached ${seconds(outMs)} after it was critical`
      : `out ${seconds(ms)} after it was critical`,
  );

/** Makes one check fail, and then lets it pass again. `out`: milliseconds from its critical row to the end of visits; undefined: they went on. */
async function outWhile(session: Session, place: CheckPlace): Promise<{ out: number | undefined; again: boolean }> {
  const { failFile } = checks[place];
  if (!(await untilIn(session))) throw new Error("no visitor reaches the machine while its checks pass");
  await inMachine(session, ["touch", failFile]);
  await untilRow(session, place, "critical");
  const out = await untilOut(session, outMs);
  await inMachine(session, ["rm", "-f", failFile]);
  await untilRow(session, place, "passing");
  return { out, again: (await untilIn(session)) !== undefined };
}

async function inMachine(session: Session, command: string[]): Promise<void> {
  const { exit_code = 0, stderr } = await session.fly.execMachine(
    session.app,
    session.require("traffic").id,
    command,
    10,
  );
  if (exit_code !== 0) throw new Error(`${command[0]} in the machine ended with ${exit_code}: ${stderr ?? ""}`);
}

async function untilRow(session: Session, place: CheckPlace, status: string): Promise<void> {
  const isIt = (name: string) => (place === "top" ? name === healthCheck : name.startsWith("servicecheck-"));
  const seen = await session.until({ everyMs: 500, forMs: rowMs }, async () => {
    const { checks } = await session.fly.getMachine(session.app, session.require("traffic").id);
    return checks?.some((row) => isIt(row.name ?? "") && row.status === status) ? true : undefined;
  });
  if (!seen)
    throw new Error(
      `the ${place === "top" ? "machine's" : "service's"} check is not ${status} after ${seconds(rowMs)}`,
    );
}
