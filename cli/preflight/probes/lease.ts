/** Leases and version conditions: whether two deployments can be in each other's way. */
import { isLeased } from "../../../fly/errors.ts";
import { type Finding, probe, resultOf } from "../assumption.ts";
import { controlConfig } from "../machine.ts";
import { errorText, expectRejected, seconds } from "../text.ts";

const ttlSeconds = 60;
/** A lease that is not released. */
const forgottenSeconds = 5;

const fly = "[Machines API, leases](https://fly.io/docs/machines/api/machines-resource/#create-a-machine-lease)";
const alchemy = "[alchemy, leases.ts](https://github.com/alchemy-run/alchemy), tested on live Fly";

export const leaseProbe = probe({
  title: "lease",
  assumptions: {
    "lease-fences-update": {
      says: "While a lease is held, an update with another nonce is rejected with a 409 that names the lease.",
      restsOn: ["providers/fly/lease.ts", "providers/fly/machine-update.ts"],
      source: fly,
      wrongIf: "the update is accepted: two deployments could change a machine at once",
      playedBy: "test/provider/machine.test.ts: a foreign lease is waited out",
    },
    "lease-fences-cordon": {
      says: "A cordon without the nonce is rejected too.",
      restsOn: ["providers/fly/machine-update.ts"],
      source: alchemy,
      wrongIf: "the cordon is accepted",
    },
    "lease-has-one-holder": {
      says: "While a lease is held, a second one is rejected with 409.",
      restsOn: ["providers/fly/lease.ts"],
      source: fly,
      wrongIf: "a second one is granted",
      playedBy: "test/provider/machine.test.ts: a foreign lease is waited out",
    },
    "lease-renewal": {
      says: "A renewal with the nonce returns the same nonce.",
      restsOn: ["providers/fly/lease.ts"],
      source: alchemy,
      wrongIf: "it returns another: each renewal would count as a lost lease",
      playedBy: "test/provider/faults/lease.test.ts: a lease is renewed at half its time for as long as the work takes",
    },
    "lease-late-renewal": {
      says: "A renewal after the lease was released creates a new lease with another nonce.",
      restsOn: ["providers/fly/lease.ts"],
      source: `${alchemy}; [openapi.yaml](https://docs.machines.dev/spec/openapi3.json): "empty or non-existent to create"`,
      wrongIf: "it returns the old nonce: a lost lease could not be distinguished from a held one",
      playedBy:
        "test/provider/faults/lease.test.ts: a lease that ended during the work is reported, not silently taken again",
    },
    "lease-ends": {
      says: "A lease that is not renewed ends after its ttl.",
      restsOn: ["providers/fly/lease.ts"],
      source: fly,
      wrongIf: "it is still held then: a killed run would block the next one",
      playedBy: "test/provider/machine.test.ts: a foreign lease that does not end is named, and nothing changes",
    },
    "version-fence": {
      says: "An update whose `current_version` is not the machine's is rejected with 409.",
      restsOn: ["providers/fly/machine-update.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `UpdateMachineRequest.current_version`",
      wrongIf: "the update is accepted: a change made in between would be lost",
      playedBy: "test/provider/machine.test.ts: the update is posted once, with the version it was computed from",
    },
  },
  async measure(session, found) {
    const { fly, app, image, clock } = session;
    const { id } = session.require("control");
    const stranger = session.newClient();
    const config = controlConfig({ app, image, volume: session.require("controlVolume").id }, "1");
    const take = (by: typeof fly, seconds: number, nonce?: string) =>
      by.acquireLease(app, id, {
        ttlSeconds: seconds,
        description: "preflight",
        ...(nonce === undefined ? {} : { nonce }),
      });

    const { nonce } = await take(fly, ttlSeconds);
    found(
      "lease-fences-update",
      fenced(await expectRejected(stranger.updateMachine(app, id, { config }, "000000000000"))),
    );
    found("lease-fences-cordon", fenced(await expectRejected(stranger.cordonMachine(app, id))));
    found("lease-has-one-holder", fenced(await expectRejected(take(stranger, ttlSeconds))));
    const renewed = await take(fly, ttlSeconds, nonce);
    found("lease-renewal", resultOf(renewed.nonce === nonce, renewed.nonce === nonce ? "the same" : "another nonce"));
    const stale = await expectRejected(
      fly.updateMachine(app, id, { config, current_version: "01AAAAAAAAAAAAAAAAAAAAAAAA" }, nonce),
    );
    found("version-fence", resultOf(stale?.status === 409, stale ? errorText(stale) : "the update was taken"));
    await fly.releaseLease(app, id, nonce);
    const late = await take(fly, ttlSeconds, nonce);
    found(
      "lease-late-renewal",
      resultOf(late.nonce !== nonce, late.nonce === nonce ? "the same nonce" : "another nonce"),
    );
    await fly.releaseLease(app, id, late.nonce);

    await take(fly, forgottenSeconds);
    const since = clock.now();
    const next = await session.until({ everyMs: 1_000, forMs: 3 * forgottenSeconds * 1000 }, async () => {
      let taken: string | undefined;
      const held = await expectRejected(
        take(stranger, ttlSeconds).then((it) => {
          taken = it.nonce;
        }),
      );
      if (held && !isLeased(held)) throw held;
      return taken;
    });
    found(
      "lease-ends",
      resultOf(
        next !== undefined,
        `ttl ${forgottenSeconds} s, free ${next ? "" : "not "}after ${seconds(clock.now() - since)}`,
      ),
    );
    if (next) await stranger.releaseLease(app, id, next.value);
  },
});

const fenced = (error: Parameters<typeof errorText>[0] | undefined): Finding =>
  resultOf(isLeased(error), error ? errorText(error) : "the call was taken");
