/** A new machine: how soon it shows, what it reads back, when it serves. */
import { isDeepStrictEqual } from "node:util";
import { isNotFound } from "../../../fly/errors.ts";
import { checksOf } from "../../../fly/machine-health.ts";
import type { Machine, MachineConfig } from "../../../fly/wire.ts";
import { alignToDesired, sameConfig } from "../../../providers/fly/normalise.ts";
import { type Finding, probe, resultOf } from "../assumption.ts";
import { trafficConfig } from "../machine.ts";
import { waitUntilStarted } from "../steps.ts";
import { plural, seconds } from "../text.ts";

/** A machine that reads as absent for longer counts as gone (fly/machine-health.ts). */
const absenceMs = 10_000;
/** A PoP's own grace period and two checks more. */
const passMs = 40_000;

export const birthProbe = probe({
  title: "new machine",
  assumptions: {
    "create-names-version": {
      says: "The response to a create has the machine's `id` and `instance_id`. The image is pulled and booted afterwards.",
      restsOn: ["providers/fly/machine.ts"],
      source: "[Machines API, create](https://fly.io/docs/machines/api/machines-resource/#create-a-machine)",
      wrongIf: "`instance_id` is missing: no wait could be pinned to it",
    },
    "machine-visible": {
      says: `A new machine can be read within ${absenceMs / 1000} s of its creation, for every client.`,
      restsOn: ["fly/machine-health.ts"],
      source: "[flyctl#4618](https://github.com/superfly/flyctl/issues/4618): 404 for a moment",
      wrongIf: "it answers 404 for longer: a healthy machine would count as gone",
      playedBy: "test/provider/local-fly/faults.test.ts: born late: a new app and a new machine read 404 for a moment",
    },
    "machine-on-volume": {
      says: "A machine is created in its volume's region.",
      restsOn: ["providers/fly/machine.ts"],
      source:
        "[Fly, volumes](https://fly.io/docs/volumes/overview/): a volume is on one host, and its machine runs there",
      wrongIf: "the regions differ",
    },
    "image-digest": {
      says: "A machine reports the digest of its image (`image_ref.digest`).",
      restsOn: ["providers/fly/normalise.ts", "providers/fly/machine-update.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `ImageRef.digest`",
      wrongIf: "it is missing: a rollback could not name the old image by digest",
    },
    "config-reads-back": {
      says: "The provider knows which values Fly adds to a config, drops or respells: a new machine shows no drift.",
      restsOn: ["providers/fly/normalise.ts"],
      source:
        "[fly-go machine_types.go](https://github.com/superfly/fly-go/blob/main/machine_types.go): answers are its structs as JSON",
      wrongIf: "the config that is read means something else than the one that was sent",
      playedBy: "test/provider/drift-by-hand.test.ts: a rewritten value with the same meaning is not drift",
    },
    "check-rows": {
      says: "Each check has one row: named ones by their name, a service's as `servicecheck-…`; other rows are named `bg_deployments_compat-…`.",
      restsOn: ["fly/machine-health.ts"],
      source: "[fly-go `RemoveCompatChecks`](https://github.com/superfly/fly-go/blob/main/machine_types.go)",
      wrongIf: "there are other rows: an update would wait for a row that never passes, or not wait at all",
      playedBy: "test/provider/local-fly/checks.test.ts: Fly's mirror rows come on request, and are never well",
    },
    "checks-pass": {
      says: `The checks of a machine that serves pass within ${passMs / 1000} s of its start.`,
      restsOn: ["components/machine-config.ts", "config/defaults.ts"],
      source:
        "[Fly, health checks](https://fly.io/docs/reference/health-checks/): asked within the grace period, then at their interval",
      wrongIf: "they take longer: a rollout's `timeout` is too short",
      playedBy: "test/provider/machine.test.ts: a check that takes its time is waited for",
    },
  },
  async measure(session, found) {
    const { fly, app, region, image } = session;
    const volume = session.require("trafficVolume").id;
    const config = trafficConfig({ app, image, volume });
    const made = await fly.createMachine(app, { name: "traffic", region, config });
    found(
      "create-names-version",
      resultOf(Boolean(made.instance_id), `state ${made.state}, instance_id ${made.instance_id ? "there" : "missing"}`),
    );
    // A client that repeats nothing and is tied to no server: the one that made the machine may wait out what is asked here.
    const stranger = session.newClient();
    const shows = await session.until({ everyMs: 500, forMs: 2 * absenceMs }, () =>
      stranger.getMachine(app, made.id).catch((error: unknown) => {
        if (isNotFound(error)) return undefined;
        throw error;
      }),
    );
    found(
      "machine-visible",
      resultOf(
        shows !== undefined && shows.ms <= absenceMs,
        shows ? `after ${seconds(shows.ms)}` : `not after ${seconds(2 * absenceMs)}`,
      ),
    );
    found("machine-on-volume", resultOf(made.region === region, `asked for ${region}, made in ${made.region}`));
    await waitUntilStarted(session, made);
    const started = session.clock.now();
    const healthy = await session.until({ everyMs: 1_000, forMs: passMs + 20_000 }, async () => {
      const machine = await fly.getMachine(app, made.id);
      return allPass(machine) ? machine : undefined;
    });
    const machine = healthy?.value ?? (await fly.getMachine(app, made.id));
    session.share("traffic", machine);
    found(
      "image-digest",
      resultOf(Boolean(machine.image_ref?.digest), machine.image_ref?.digest ? "it does" : "the field is missing"),
    );
    found("config-reads-back", readsBack(config, machine));
    found("check-rows", rows(machine));
    const took = session.clock.now() - started;
    found(
      "checks-pass",
      resultOf(
        healthy !== undefined && took <= passMs,
        healthy ? `after ${seconds(took)}` : `not after ${seconds(took)}: ${failing(machine)}`,
      ),
    );
  },
});

const allPass = (machine: Machine): boolean => {
  const all = checksOf(machine);
  return all.length > 0 && all.every(({ status }) => status === "passing");
};

const failing = (machine: Machine): string =>
  checksOf(machine)
    .filter(({ status }) => status !== "passing")
    .map(({ name, output = "" }) => `${name} says ${JSON.stringify(output.slice(0, 80))}`)
    .join(", ");

function readsBack(sent: MachineConfig, { config, image_ref }: Machine): Finding {
  if (!config) return resultOf(false, "it has no config");
  if (sameConfig(sent, config, image_ref)) return resultOf(true, "no drift");
  // What means the same has the spelling of what was sent.
  const found = alignToDesired(sent, config, image_ref);
  const keys = new Set([...Object.keys(sent), ...Object.keys(found)]) as Set<keyof MachineConfig>;
  const drifting = [...keys].filter((key) => !isDeepStrictEqual(sent[key], found[key]));
  return resultOf(
    false,
    `differs in ${drifting.map((it) => `${it}: ${JSON.stringify(found[it])?.slice(0, 200) ?? "nothing"}`).join("; ")}`,
  );
}

function rows(machine: Machine): Finding {
  const { checks = {}, services = [] } = machine.config ?? {};
  const named = Object.keys(checks ?? {});
  const inServices = (services ?? []).reduce((sum, service) => sum + (service.checks?.length ?? 0), 0);
  const ours = checksOf(machine).map(({ name = "" }) => name);
  const strange = ours.filter((name) => !named.includes(name) && !name.startsWith("servicecheck-"));
  const mirrors = (machine.checks ?? []).length - ours.length;
  const counts = `${plural(named.length + inServices, "check")}, ${plural(ours.length, "row")}${mirrors > 0 ? ` and ${mirrors} mirrored` : ""}`;
  return resultOf(
    ours.length === named.length + inServices && strange.length === 0,
    strange.length > 0 ? `${counts}; unknown: ${strange.join(", ")}` : counts,
  );
}
