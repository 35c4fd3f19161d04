import { createHash } from "node:crypto";
import { afterAll, beforeAll, test } from "vitest";
import type { Checkout } from "../support/checkout.ts";
import { fleet, foreignImage, refusesImage, repositoryOf } from "../support/fleet.ts";

// The image that crashes at boot is in test/slow/rollout.test.ts; these two wait for their deadline.
let it: Checkout;

beforeAll(async () => {
  it = await fleet();
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

test("an image whose check never passes ends with the old version serving everywhere, and a failed run", async () => {
  await refusesImage(it, await foreignImage(it, "mute", "sleep 600"), /not healthy in time: health is critical/);
});

test("an image that cannot be pulled ends with the old version serving everywhere, and a failed run", async () => {
  const digest = createHash("sha256").update("no such image").digest("hex");
  await refusesImage(it, `${await repositoryOf(it)}@sha256:${digest}`, /cdg-1: /);
});
