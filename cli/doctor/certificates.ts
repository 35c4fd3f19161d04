/** Where certificates come from: whether an authority gives as many as are ordered, and how long PoPs can log in to the vault. */
import { defaults } from "../../config/defaults.ts";
import { ordering, orders } from "../../config/order-limits.ts";
import type { EdgeConfig } from "../../config/types.ts";
import { vaultSites } from "../../image/render/certs.ts";
import type { Vault } from "../../image/spec.ts";
import { endsSoon, leftText } from "../certificate-expiry.ts";
import type { CliContext } from "../context.ts";
import { deployedPops, readFleet } from "../fleet.ts";
import { type Health, readHealth } from "../health.ts";
import type { Stack } from "../stack.ts";
import type { Finding } from "./finding.ts";

/** None for a stack that orders nothing. */
export function ordersChecks({ pops, image }: EdgeConfig): Finding[] {
  const found = orders(pops.length, image);
  if (found === undefined) return [];
  const name = "orders of certificates";
  const isShared = ordering(pops.length, image.certificates) < pops.length;
  const detail = `${found.certificates}${isShared ? ", shared" : ""} by ${pops.length} PoPs`;
  return found.beyond.length === 0
    ? [{ name, status: "ok", detail }]
    : [{ name, status: "warning", detail: `${detail}, more than a week's worth`, fix: found.beyond.join("\n") }];
}

/** None for a stack without certificates in a vault. A running PoP is asked, because the vault may be reachable from PoPs alone. */
export async function vaultChecks(
  { clock }: Pick<CliContext, "clock">,
  stack: Stack,
  { image }: EdgeConfig,
  hasFly: boolean,
): Promise<Finding[]> {
  if (vaultSites(image).length === 0) return [];
  const name = "vault";
  if (!hasFly) return [{ name, status: "skipped", detail: "not to be seen before Fly's API is" }];
  try {
    const fleet = await readFleet(stack);
    const running = deployedPops(fleet).find(({ machine }) => machine.state === "started");
    if (running === undefined)
      return [{ name, status: "skipped", detail: "no PoP runs that could be asked when its secret_id ends" }];
    const { health, reason } = await readHealth(fleet, running);
    if (health === undefined) return [{ name, status: "skipped", detail: `${running.name}: ${reason}` }];
    return [{ name, ...secretIdFinding(health.vaultSecretId ?? undefined, clock.now(), image.certificates?.vault) }];
  } catch (error) {
    return [{ name, status: "skipped", detail: (error as Error).message }];
  }
}

/** Below this a PoP reports `degraded`, too: fewUses in image/pop/certs/secret_id.go. */
const fewUses = 20;

type VaultLogin = Pick<Vault, "authMount" | "namespace">;

const another = ({ authMount = defaults.vaultAuthMount, namespace }: VaultLogin): string =>
  `Make another (bao write -f${namespace === undefined ? "" : ` -namespace=${namespace}`} -field=secret_id auth/${authMount}/role/ROLE/secret-id), put it into the secrets file (npx fly-pops secrets edit, vaultSecretId), and deploy: docs/secrets.md#the-secret_id`;

/** What a PoP says of the secret_id, as a finding. Pure. */
export function secretIdFinding(
  found: Health["vaultSecretId"],
  now: number,
  login: VaultLogin = {},
): Omit<Finding, "name"> {
  if (!found) return { status: "skipped", detail: "no PoP has logged in to it yet" };
  const { createdAt, endsAt, usesLeft, gone, unknown } = found;
  const begins = createdAt === undefined ? undefined : Date.parse(createdAt);
  const ends = endsAt === undefined ? undefined : Date.parse(endsAt);
  if (gone || (ends !== undefined && ends <= now)) {
    const detail =
      ends !== undefined && ends <= now ? `its secret_id ended at ${endsAt}` : "it does not know the secret_id";
    return { status: "failed", detail: `${detail}: a PoP that starts is refused`, fix: another(login) };
  }
  const said = unknown === undefined ? "" : ", as the stack file says";
  if (ends !== undefined && endsSoon({ begins, ends }, now))
    return { status: "failed", detail: `its secret_id ends in ${leftText(ends - now)}${said}`, fix: another(login) };
  if (usesLeft !== undefined) {
    const fix = `Each PoP takes one at every start, and now and then as its token ends. Make one that is good for any number: secret_id_num_uses=0. ${another(login)}`;
    return {
      status: usesLeft < fewUses ? "failed" : "warning",
      detail: `logins that its secret_id is good for: ${usesLeft}`,
      fix,
    };
  }
  if (ends !== undefined) return { status: "ok", detail: `its secret_id ends in ${leftText(ends - now)}${said}` };
  if (unknown === undefined) return { status: "ok", detail: "its secret_id does not end" };
  const fix = `Let PoPs look, or say it yourself in certificates.vault.secretId: docs/secrets.md#the-secret_id. Why it is not known: ${unknown}.`;
  return { status: "warning", detail: "when its secret_id ends is not known", fix };
}
