import { afterAll, beforeAll, expect, test } from "vitest";
import { type Checkout, checkout } from "../support/checkout.ts";
import { bootsAlone, outages, survives } from "../support/outages.ts";

let it: Checkout;

beforeAll(async () => {
  it = await checkout();
  const { code, output } = await it.run();
  expect(code, output).toBe(0);
});
afterAll(async () => {
  await it?.run("down");
  it?.remove();
});

test.each(outages)(
  "two minutes while $what is down: all that is cached is served, and it comes back by itself",
  async (outage) => {
    const { requests, backMs } = await survives(it, outage, 120);
    console.log(`${outage.what}: ${requests} requests, back after ${Math.round(backMs)} ms`);
  },
);

test("a PoP that boots while home is down serves from its volume within 10 s", async () => {
  console.log(`it served after ${Math.round(await bootsAlone(it, { seconds: 10 }))} ms`);
});
