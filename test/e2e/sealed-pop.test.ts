/** Real containers of the real image: an identity on a volume, secrets encrypted to it by the real sops, decrypted at boot, and the report of a missing one. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { machineConfig } from "../../components/machine-config.ts";
import { Fly } from "../../fly/api.ts";
import { systemClock } from "../../lib/clock.ts";
import { seeded } from "../../local/fly/core/random.ts";
import { memoryStore } from "../../local/fly/core/store.ts";
import { createLocalFly, type LocalFly } from "../../local/fly/create.ts";
import { type HttpServer, serve } from "../../local/fly/http.ts";
import { identityHandler } from "../../providers/fly/identity.ts";
import { machineHandler } from "../../providers/fly/machine.ts";
import { volumeHandler } from "../../providers/fly/volume.ts";
import type { Context } from "../../providers/handler.ts";
import { createRolloutGate } from "../../providers/rollout-gate.ts";
import { createSops } from "../../sops/cli.ts";
import { encryptFor } from "../../sops/encrypt-for.ts";
import { build } from "../image/support/pop.ts";
import { outward } from "../image/support/spec.ts";
import { app, identityInputs, machineInputs, volumeInputs } from "../support/context.ts";
import { lab, newStack } from "../support/docker.ts";
import { noSecrets } from "../support/no-secrets.ts";
import { until } from "../support/until.ts";

const token = "e2e-sealed";
const shape = { name: "cdg-1", cpuKind: "shared" as const, cpus: 1, memoryMb: 256, volumeGb: 3 };
const planted = { token: "planted-luggage", vaultRoleId: "planted-role", vaultSecretId: "planted-secret-id" };

let image: string;
let fly: LocalFly;
let server: HttpServer;
let context: Context;
let volume: string;

beforeAll(async () => {
  const spec = outward();
  const [built, { runner }] = await Promise.all([
    build("sealed", { ...spec, ...(spec.tailnet && { tailnet: { ...spec.tailnet, controlPlane: "headscale" } }) }),
    lab(newStack()),
  ]);
  image = built;
  fly = await createLocalFly({ clock: systemClock, runner, random: seeded(1), store: memoryStore(), token });
  server = await serve(fly.handle);
  context = {
    fly: new Fly({ endpoint: server.url, token, clock: systemClock }),
    clock: systemClock,
    rollout: createRolloutGate(),
    ...noSecrets,
    sops: createSops(),
    log: () => undefined,
  };
  await context.fly.createApp({ name: app, org_slug: "personal" });
  volume = (await volumeHandler.create(volumeInputs(), context)).id;
});
afterAll(async () => {
  fly?.close();
  await server?.close();
});

/** Without Fly's check: the vault of this stack is not there, and a PoP without the vault's certificates gets no visitors. */
function unchecked(sealedFiles: Record<string, string>) {
  const { checks: _, services: __, ...config } = machineConfig(shape, image, sealedFiles);
  return config;
}

const base64 = (text: string) => Buffer.from(text).toString("base64");

async function healthOf(
  id: string,
): Promise<{ recipient?: string; components: Record<string, { status: string; reason?: string }> }> {
  // Whatever its status; nothing before `pop health` is up.
  const { stdout } = await context.fly.execMachine(app, id, ["/usr/bin/pop", "ask", "health"], 20);
  return stdout ? JSON.parse(stdout) : { components: {} };
}

/** Until the component `secrets` is "ok", or has a reason, as wanted. */
const untilSecrets = (id: string, wanted: (reason: string) => boolean) =>
  until(
    () => healthOf(id),
    ({ components: { secrets } }) => wanted(secrets?.status === "ok" ? "ok" : (secrets?.reason ?? "")),
    { seconds: 600, everyMs: 500, what: String(wanted) },
  );

test("an identity is born on the volume, kept, and opens what was sealed to it", async () => {
  const inputs = identityInputs(volume, { image });
  const first = await identityHandler.create(inputs, context);
  expect(first.outs).toMatchObject({ recipient: expect.stringMatching(/^ssh-ed25519 AAAA/), isNew: true });
  expect(Object.values(fly.snapshot().machines).filter(({ state }) => state !== "destroyed")).toEqual([]);
  // Another run, with the key there already: it is the same one.
  const second = await identityHandler.create(inputs, context);
  expect(second.id).toBe(first.id);
  const { recipient } = first.outs;

  // Without the file of the tailnet: said in health, tried again in place, and what needs no secret serves.
  const secrets = base64(await encryptFor(planted, recipient, context.sops));
  const machine = machineInputs(volume, { config: unchecked({ secrets }), drainSeconds: 0 });
  const { id, outs } = await machineHandler.create(machine, context);
  const lacking = await untilSecrets(id, (reason) => reason.includes("sealed-tailnet"));
  expect(lacking.components.secrets?.reason).toMatch(/sops file open \/etc\/pop\/sealed-tailnet\.yaml: no such file/);
  expect(lacking.recipient).toBe(recipient);

  // The PoP runs: it is asked, and no second machine is made.
  expect(await identityHandler.create(inputs, context)).toMatchObject({ id: first.id, outs: { isNew: false } });

  const tailnet = base64(await encryptFor({ tailscaleAuthKey: "planted-auth-key" }, recipient, context.sops));
  const config = unchecked({ secrets, tailnet });
  await machineHandler.update(id, outs, { ...machine, config }, context);
  await untilSecrets(id, (reason) => reason === "ok");
  const read = async (path: string) => (await context.fly.execMachine(app, id, ["/bin/cat", path], 20)).stdout;
  expect(await read("/run/secrets/tailscaleAuthKey")).toBe("planted-auth-key");
  expect(await read("/run/secrets/vaultSecretId")).toBe(planted.vaultSecretId);
  expect(await read("/run/secrets/waiting/token")).toBe(planted.token);
});
