/** What Fly says: token, app, room. */
import { sharedHostWarnings, volumeName } from "../../components/placement.ts";
import type { EdgeConfig } from "../../config/types.ts";
import type { Fly } from "../../fly/api.ts";
import { FlyError, isNotFound } from "../../fly/errors.ts";
import { isLive } from "../../fly/existence.ts";
import { findForeignMachine, sharedAdvice } from "../../providers/fly/owner.ts";
import { CliError } from "../context.ts";
import { owns, type Stack } from "../stack.ts";
import type { Finding } from "./finding.ts";

export async function tokenCheck(stack: Stack, { organization }: EdgeConfig): Promise<{ finding: Finding; fly?: Fly }> {
  const name = "Fly token";
  let fly: Fly;
  try {
    fly = await stack.fly();
  } catch (error) {
    // A passphrase that opens nothing is another matter than a token that is not there.
    const detail = error instanceof CliError ? "set, and cannot be opened" : "none";
    return { finding: { name, status: "failed", detail, fix: (error as Error).message } };
  }
  try {
    const scopes = await fly.currentTokens();
    const apps = scopes.flatMap((it) => it.apps ?? []);
    if (apps.length > 0 && !apps.includes("*")) {
      // Found out by a 403 in the middle of the first deployment otherwise.
      const fix = `It may neither make the app nor ask for room nor, where it is another app's, push its image. Make one of the organization: fly tokens create org ${organization}`;
      return { finding: { name, status: "failed", detail: `a deploy token, good for ${apps.join(", ")} alone`, fix } };
    }
    const slugs = [...new Set(scopes.flatMap(({ org_slug }) => org_slug ?? []))];
    if (slugs.length === 0 || slugs.includes(organization))
      return { finding: { name, status: "ok", detail: `good for ${slugs.join(", ") || "its owner"}` }, fly };
    const fix = `The stack file says fly-pops:organization: ${organization}. Correct it, or make a token there: fly tokens create org ${organization}`;
    return { finding: { name, status: "failed", detail: `good for ${slugs.join(", ")}`, fix }, fly };
  } catch (error) {
    // The call does not know older personal tokens. The check of the app shows whether they work.
    if (error instanceof FlyError && (error.status === 400 || error.status === 404))
      return { finding: { name, status: "ok", detail: "its scope is unknown" }, fly };
    const detail = (error as Error).message;
    if (error instanceof FlyError && (error.status === 401 || error.status === 403)) {
      const fix =
        "Fly does not take it. Make one (fly tokens create org ORGANIZATION) and set it: npx pulumi config set --secret fly:token, or FLY_API_TOKEN";
      return { finding: { name, status: "failed", detail, fix } };
    }
    // Of the token nothing is known then.
    const fix = "See that Fly can be reached from here, then run again. How Fly is: https://status.flyio.net";
    return { finding: { name: "Fly API", status: "failed", detail, fix } };
  }
}

export async function appCheck(fly: Fly, stack: Stack, { app, organization, adopt }: EdgeConfig): Promise<Finding> {
  const name = "Fly app";
  try {
    const owner = (await fly.getApp(app)).organization?.slug;
    if (owner === undefined || owner === organization) {
      const isOwn = (other: string) => owns(stack, other) || other === adopt.from;
      const foreign = findForeignMachine(await fly.listMachines(app), isOwn);
      if (!foreign) return { name, status: "ok", detail: app };
      const fix = sharedAdvice(foreign.stack);
      return {
        name,
        status: "failed",
        detail: `${app} belongs to stack ${foreign.stack}, whose machine ${foreign.machine} runs in it`,
        fix,
      };
    }
    const fix = `Set fly-pops:organization to ${owner}, or take another fly-pops:app.`;
    return { name, status: "failed", detail: `${app} belongs to ${owner}`, fix };
  } catch (error) {
    if (isNotFound(error)) return { name, status: "ok", detail: `${app} is not there yet: pulumi up makes it` };
    const fix = "App names are global: take another fly-pops:app, or a token of its organization.";
    return { name, status: "failed", detail: (error as Error).message, fix };
  }
}

/** Fly has no call for quotas. Whether the organization finds room for one PoP more of each region is what they come down to. */
export async function roomChecks(fly: Fly, { pops, organization }: EdgeConfig): Promise<Finding[]> {
  const first = new Map(pops.toReversed().map((pop) => [pop.region, pop]));
  return Promise.all(
    [...first.values()]
      .toSorted((a, b) => (a.region < b.region ? -1 : 1))
      .map(async (pop): Promise<Finding> => {
        const name = `room in ${pop.region}`;
        try {
          const open = await fly.placements({
            region: pop.region,
            compute: { cpu_kind: pop.cpuKind, cpus: pop.cpus, memory_mb: pop.memoryMb },
            count: 1,
            volume_name: "pop_room",
            volume_size_bytes: pop.volumeGb * 1024 ** 3,
            org_slug: organization,
          });
          if (open.includes(pop.region)) return { name, status: "ok", detail: `for ${pop.size}, ${pop.memoryMb} MB` };
          const fix =
            "Take a smaller size or another region, or ask Fly for a higher quota. What runs there already is not concerned.";
          return {
            name,
            status: "failed",
            detail: `none for ${pop.size}, ${pop.memoryMb} MB, ${pop.volumeGb} GB`,
            fix,
          };
        } catch (error) {
          return { name, status: "skipped", detail: (error as Error).message };
        }
      }),
  );
}

/** PoPs of one region that lie on one host fail together. */
export async function hostsCheck(fly: Fly, { app, pops }: EdgeConfig): Promise<Finding> {
  const name = "hosts";
  try {
    const volumes = (await fly.listVolumes(app)).filter(isLive);
    const placed = pops.flatMap((pop) => {
      const volume = volumes.find((it) => it.name === volumeName(pop.name) && it.region === pop.region);
      return volume?.zone ? [{ name: pop.name, zone: volume.zone }] : [];
    });
    const shared = sharedHostWarnings(placed);
    if (shared.length > 0) return { name, status: "failed", detail: "some PoPs share one", fix: shared.join(" ") };
    return { name, status: "ok", detail: `${placed.length} of ${pops.length} PoPs placed, none beside another` };
  } catch (error) {
    if (isNotFound(error)) return { name, status: "ok", detail: "nothing is deployed yet" };
    return { name, status: "skipped", detail: (error as Error).message };
  }
}

/** What origins see PoPs come from. */
export async function egressCheck(fly: Fly, { app }: EdgeConfig): Promise<Finding> {
  const name = "egress addresses";
  try {
    const fixed = (await fly.listAddresses(app)).filter(({ egress }) => egress).flatMap(({ ip }) => ip ?? []);
    const detail =
      fixed.length > 0
        ? `fixed: ${fixed.join(", ")}`
        : "not fixed: they change when Fly moves a machine, so no origin's firewall should know them";
    return { name, status: "ok", detail };
  } catch (error) {
    if (isNotFound(error)) return { name, status: "ok", detail: "nothing is deployed yet" };
    return { name, status: "skipped", detail: (error as Error).message };
  }
}
