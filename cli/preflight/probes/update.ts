/** An update in place: what reads show while the new version takes over, and whether a wait can be pinned to it. */

import type { Fly } from "../../../fly/api.ts";
import { FlyError } from "../../../fly/errors.ts";
import { staleReadMs } from "../../../fly/lag.ts";
import { checksOf, unexpectedExit } from "../../../fly/machine-health.ts";
import type { CheckStatus } from "../../../fly/wire.ts";
import { ulidTime } from "../../../lib/ulid.ts";
import { withLease } from "../../../providers/fly/lease.ts";
import { sameConfig } from "../../../providers/fly/normalise.ts";
import { createRolloutGate } from "../../../providers/rollout-gate.ts";
import { type Finding, notMeasured, probe, resultOf } from "../assumption.ts";
import { controlConfig } from "../machine.ts";
import type { Session } from "../session.ts";
import { waitUntilStarted } from "../steps.ts";
import { errorText, expectRejected, plural, seconds } from "../text.ts";

/** How long reads are watched after the wait. */
const afterMs = 5_000;

const known = ["created", "updating", "replacing", "replaced", "stopping", "stopped", "starting", "started"];

export const updateProbe = probe({
  title: "update",
  assumptions: {
    "update-names-version": {
      says: "The response to an update has the new version's `instance_id`.",
      restsOn: ["providers/fly/machine-update.ts"],
      source: "[Machines API, update](https://fly.io/docs/machines/api/machines-resource/#update-a-machine)",
      wrongIf: "it has the old one, or none: every wait would be pinned to the wrong version",
    },
    "update-reads": {
      says: `After the response to an update, its client reads the old version for at most ${staleReadMs / 1000} s.`,
      restsOn: ["fly/machine-health.ts", "providers/fly/machine-update.ts"],
      source:
        "[flyctl#4878](https://github.com/superfly/flyctl/pull/4878), [#4921](https://github.com/superfly/flyctl/pull/4921): live runs met the old version; [Fly, infra log 2026-04-28](https://fly.io/infra-log/)",
      wrongIf: "it is read for longer: a healthy update would count as reverted",
      playedBy:
        "test/provider/fly/lag.test.ts: with its cookie a client reads what it wrote, without it what was before",
    },
    "update-reads-of-others": {
      says: "The same holds for a client without the cookie of that response.",
      restsOn: ["cli/commands/status.ts", "fly/machine-health.ts"],
      source: "as above",
      wrongIf: "it is read for longer",
      playedBy:
        "test/provider/fly/lag.test.ts: with its cookie a client reads what it wrote, without it what was before",
    },
    "wait-pinned": {
      says: "After a wait pinned to the new version has succeeded, reads of the same client show that version.",
      restsOn: ["fly/machine-health.ts"],
      source: "[flyctl#4921](https://github.com/superfly/flyctl/pull/4921) pins first and compares then",
      wrongIf: "a read after it shows the old version",
      playedBy: "test/provider/fly/lag.test.ts: another version that stays is a revert also where no event tells of it",
    },
    "wait-for-replaced": {
      says: "A wait for a replaced version is rejected.",
      restsOn: ["fly/machine-health.ts"],
      source:
        "[flyctl machine/wait.go](https://github.com/superfly/flyctl/blob/master/internal/command/machine/wait.go)",
      wrongIf: "it succeeds: a pinned wait would prove nothing",
    },
    "check-rows-are-new": {
      says: `After an update, a passing check row of the previous version is shown for at most ${staleReadMs / 1000} s.`,
      restsOn: ["fly/machine-health.ts"],
      source: "[alchemy](https://github.com/alchemy-run/alchemy)'s live tests reject stale observations of checks",
      wrongIf: "it is shown for longer: a version would pass because of the health of the previous one",
      playedBy:
        "test/provider/fly/lag.test.ts: rows that pass and are never written again count once they can no longer be the old version's",
    },
    "update-states": {
      says: `While an update proceeds a machine is in these states only: ${known.join(", ")}.`,
      restsOn: ["providers/fly/machine-update.ts"],
      source: "[Fly, machine states](https://fly.io/docs/machines/machine-states/)",
      wrongIf: "another one is read",
    },
    "update-ends-differ": {
      says: "The end of the replaced instance differs from an end of the new one: its event comes before the new launch or start.",
      restsOn: ["fly/machine-health.ts"],
      source:
        "[fly-go `MostRecentStartTimeAfterLaunch`](https://github.com/superfly/fly-go/blob/main/machine_types.go)",
      wrongIf: "it counts as an exit of the new version, and every update would be undone",
    },
    "version-is-ulid": {
      says: "A version is a ULID: its first ten characters are the time when it was created.",
      restsOn: ["cli/history.ts"],
      source:
        "[Machines API, versions](https://fly.io/docs/machines/api/machines-resource/): `01H28X6YMH91KVGGSVFYS4T09Y`",
      wrongIf: "it is not a ULID, or its time is off by more than a minute: `releases` would name the wrong image",
    },
    "versions-keep-config": {
      says: "`GET …/versions` has the previous version with its original config.",
      restsOn: ["cli/history.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `MachineVersion.user_config`",
      wrongIf: "the version is missing, or has another config",
    },
  },
  async measure(session, found) {
    const { fly, app, image, clock } = session;
    const control = session.require("control");
    const volume = session.require("controlVolume").id;
    const before = await fly.getMachine(app, control.id);
    const first = controlConfig({ app, image, volume }, "1");
    await withLease(
      { app, id: control.id, pop: "control", purpose: "preflight of" },
      { fly, clock, rollout: createRolloutGate() },
      async ({ nonce }) => {
        const body = { config: controlConfig({ app, image, volume }, "2") };
        const posted = await fly.updateMachine(app, control.id, { ...body, ...version(before.instance_id) }, nonce);
        const isNew = Boolean(posted.instance_id) && posted.instance_id !== before.instance_id;
        found(
          "update-names-version",
          resultOf(isNew, posted.instance_id ? (isNew ? "a new one" : "the old one") : "none"),
        );
        found("version-is-ulid", ulid(posted.instance_id, clock.now()));
        if (!isNew) throw new Error("the update did not name its version");
        const old = new Set(
          checksOf(before)
            .filter(({ updated_at }) => updated_at)
            .map(rowKey),
        );
        const over = new AbortController();
        const seen: [Seen, Seen] = [nothing(), nothing()];
        const [own, others] = seen;
        const wanted = { version: posted.instance_id, old };
        const watched = Promise.all([
          watch(session, fly, wanted, own, over.signal),
          watch(session, session.newClient(), wanted, others, over.signal),
        ]);
        // Should the wait fail first, its error is the one to tell.
        watched.catch(() => undefined);
        let started: number;
        try {
          await waitUntilStarted(session, posted);
          started = clock.now();
          await session.pause(afterMs);
          // What is still late is watched until it is not, or for longer than it may be.
          await session.until({ everyMs: 500, forMs: 2 * staleReadMs }, async () =>
            seen.every(({ late }) => !late) ? true : undefined,
          );
        } finally {
          over.abort();
        }
        await watched;
        found("update-reads", stale(own));
        found("update-reads-of-others", stale(others));
        found("wait-pinned", afterWait(own, started));
        found("check-rows-are-new", staleRows(own, old.size));
        const states = [...new Set([...own.states, ...others.states])];
        found(
          "update-states",
          resultOf(
            states.every((it) => known.includes(it)),
            states.join(", "),
          ),
        );
        const replaced = await expectRejected(
          fly.waitMachine(app, control.id, { states: ["started"], version: before.instance_id, seconds: 1 }),
        );
        // 408, "not yet", would be right as well: it is not a success.
        found("wait-for-replaced", resultOf(replaced !== undefined, replaced ? errorText(replaced) : "it succeeded"));
      },
    );
    const after = await fly.getMachine(app, control.id);
    session.share("control", after);
    const exit = unexpectedExit(after.events ?? [], new Set((before.events ?? []).map(({ id = "" }) => id)));
    found(
      "update-ends-differ",
      resultOf(exit === undefined, exit ? `counts as an exit of the new version: ${JSON.stringify(exit)}` : "it can"),
    );
    const kept = (await fly.listVersions(app, control.id)).find((it) => it.version === before.instance_id);
    const same = kept?.user_config && sameConfig(first, kept.user_config, before.image_ref);
    found(
      "versions-keep-config",
      resultOf(Boolean(same), same ? "it has" : kept ? "with another config" : "it is missing"),
    );
  },
});

const version = (current_version: string | undefined) => (current_version === undefined ? {} : { current_version });

function ulid(version: string | undefined, now: number): Finding {
  const made = version === undefined ? undefined : ulidTime(version);
  if (made === undefined) return resultOf(false, `not a ULID: ${JSON.stringify(version)}`);
  return resultOf(Math.abs(made - now) < 60_000, `its time is off by ${seconds(Math.abs(made - now))}`);
}

/** What reads showed. */
export interface Seen {
  reads: number;
  /** Reads of another version: milliseconds after the first look, and by the clock. */
  stale: { after: number; at: number }[];
  /** Milliseconds after the first look at which a started new version had a passing row of the one before. */
  oldRows: number[];
  states: Set<string>;
  /** The last read was one of these. */
  late: boolean;
}

const nothing = (): Seen => ({ reads: 0, stale: [], oldRows: [], states: new Set(), late: false });

/** Reads the machine twice a second and notes in `seen` what is late. */
async function watch(
  session: Session,
  by: Fly,
  { version, old }: { version: string | undefined; old: ReadonlySet<string> },
  seen: Seen,
  over: AbortSignal,
): Promise<void> {
  const { app, clock } = session;
  const { id } = session.require("control");
  const began = clock.now();
  while (!over.aborted) {
    try {
      const machine = await by.getMachine(app, id);
      const after = clock.now() - began;
      const isStale = machine.instance_id !== version;
      const hasOldRow =
        !isStale &&
        machine.state === "started" &&
        checksOf(machine).some((row) => row.status === "passing" && old.has(rowKey(row)));
      seen.reads++;
      seen.states.add(machine.state ?? "none");
      seen.late = isStale || hasOldRow;
      if (isStale) seen.stale.push({ after, at: clock.now() });
      if (hasOldRow) seen.oldRows.push(after);
    } catch (error) {
      if (!(error instanceof FlyError)) throw error;
    }
    await new Promise<void>((resolve) => clock.after(500, resolve));
  }
}

function stale({ reads, stale }: Seen): Finding {
  const last = stale.at(-1)?.after;
  if (last === undefined) return resultOf(true, `never, in ${plural(reads, "read")}`);
  return resultOf(
    last <= staleReadMs,
    `in ${stale.length} of ${plural(reads, "read")}, the last after ${seconds(last)}`,
  );
}

/** A row that was written again has another time. */
const rowKey = ({ name, updated_at }: CheckStatus): string => `${name} ${updated_at}`;

function staleRows({ oldRows }: Seen, known: number): Finding {
  if (known === 0) return notMeasured("the version before had no rows");
  const last = oldRows.at(-1);
  return resultOf((last ?? 0) <= staleReadMs, last === undefined ? "never" : `for ${seconds(last)}`);
}

function afterWait({ stale }: Seen, started: number): Finding {
  const late = stale.filter(({ at }) => at > started);
  if (late.length === 0) return resultOf(true, `they do, for ${seconds(afterMs)}`);
  const last = Math.max(...late.map(({ at }) => at - started));
  return resultOf(false, `${plural(late.length, "read")} did not, the last ${seconds(last)} after the wait`);
}
