/** A new app: how soon it is everywhere, and whose its name is. */
import type { Fly } from "../../../fly/api.ts";
import { FlyError, isConflict } from "../../../fly/errors.ts";
import { newAppMs } from "../../../fly/lag.ts";
import { type Finding, probe, resultOf } from "../assumption.ts";
import type { Session } from "../session.ts";
import { errorText, expectRejected, seconds } from "../text.ts";

/** What the provider waits for. flyctl waits as long. */
const usableMs = newAppMs;

export const appProbe = probe({
  title: "new app",
  assumptions: {
    "app-visible": {
      says: `A new app can be used within ${usableMs / 1000} s of its creation: it can be read, and its machines, volumes and addresses can be listed.`,
      restsOn: ["providers/fly/app.ts"],
      source:
        "[fly-go `WaitForApp`](https://github.com/superfly/fly-go/blob/main/flaps/flaps_apps.go) repeats 401 and 404",
      wrongIf: "one of these calls still answers 401, 403 or 404 after that time",
      playedBy: "test/provider/app.test.ts: an app that lags behind its create is waited for",
    },
    "app-visible-to-others": {
      says: "A client that did not create the app sees it in the same time.",
      restsOn: ["providers/fly/app.ts", "components/image.ts"],
      source:
        "inferred: the cookie `fly_flaps_affinity` ties a client to one server ([fly-go](https://github.com/superfly/fly-go/blob/main/flaps/flaps.go))",
      wrongIf: "a second client gets such a response for longer",
      playedBy:
        "test/provider/local-fly/faults.test.ts: a new app is unknown, or its token unwelcome, below itself at other servers",
    },
    "app-name-taken": {
      says: "A second create with the same app name is rejected with 409 or 422, with the code `name_taken` or a known text.",
      restsOn: ["fly/errors.ts", "providers/fly/app.ts"],
      source: "[fly-go flaps_error.go](https://github.com/superfly/fly-go/blob/main/flaps/flaps_error.go)",
      wrongIf: "it succeeds, or the refusal has another status or text",
      playedBy: "test/provider/app.test.ts: a name that another organization has is refused as taken",
    },
  },
  async measure(session, found) {
    const { fly, app, organization } = session;
    await fly.createApp({ name: app, org_slug: organization, network: app });
    const [own, others] = await Promise.all([usable(session, fly), usable(session, session.newClient())]);
    found("app-visible", visible(own));
    found("app-visible-to-others", visible(others));
    if (own === undefined) throw new Error(`the app was made and could not be used after ${seconds(2 * usableMs)}`);
    session.share("app", true);
    const second = await expectRejected(fly.createApp({ name: app, org_slug: organization, network: app }));
    found("app-name-taken", resultOf(isConflict(second), second ? errorText(second) : "the second create succeeded"));
  },
});

const visible = (ms: number | undefined): Finding =>
  resultOf(
    ms !== undefined && ms <= usableMs,
    ms === undefined ? `not after ${seconds(2 * usableMs)}` : `after ${seconds(ms)}`,
  );

/** Milliseconds until all four calls succeed at once; undefined: not within twice the time limit. */
async function usable(session: Session, fly: Fly): Promise<number | undefined> {
  const { app } = session;
  const seen = await session.until({ everyMs: 1_000, forMs: 2 * usableMs }, async () => {
    try {
      await Promise.all([fly.getApp(app), fly.listMachines(app), fly.listVolumes(app), fly.listAddresses(app)]);
      return true;
    } catch (error) {
      if (error instanceof FlyError && [401, 403, 404].includes(error.status ?? 0)) return undefined;
      throw error;
    }
  });
  return seen?.ms;
}
