import { expect, test } from "vitest";
import { inOrder } from "../../../setup/order.mjs";

/** Steps that end on request. */
function stage() {
  const begun: string[] = [];
  const ends = new Map<string, { resolve(): void; reject(error: Error): void }>();
  const take = (step: string) =>
    new Promise<void>((resolve, reject) => {
      begun.push(step);
      ends.set(step, { resolve, reject });
    });
  const settle = () => new Promise((resolve) => setImmediate(resolve));
  return {
    begun,
    take,
    done(step: string) {
      ends.get(step)?.resolve();
      return settle();
    },
    fail(step: string) {
      ends.get(step)?.reject(new Error("failed"));
      return settle();
    },
    settle,
  };
}
const steps = [
  { step: "npm" },
  { step: "cli" },
  { step: "plugins", after: ["npm", "cli"] },
  { step: "sops", after: ["cli"] },
  { step: "engine" },
  { step: "base", after: ["engine"] },
];

test("a step begins when those it needs are done, and waits for no other", async () => {
  const { begun, take, done, settle } = stage();
  const whole = inOrder(steps, take);
  await settle();
  expect(begun).toEqual(["npm", "cli", "engine"]);
  await done("cli");
  expect(begun.slice(3)).toEqual(["sops"]);
  await done("npm");
  expect(begun.slice(4)).toEqual(["plugins"]);
  for (const step of ["engine", "plugins", "sops"]) await done(step);
  await done("base");
  expect(await whole).toBe(true);
});

test("a failed step takes along what comes after it, and nothing else", async () => {
  const { begun, take, done, fail, settle } = stage();
  const whole = inOrder(steps, take);
  await settle();
  await fail("npm");
  for (const step of ["cli", "engine"]) await done(step);
  for (const step of ["sops", "base"]) await done(step);
  expect(begun).toEqual(["npm", "cli", "engine", "sops", "base"]);
  expect(await whole).toBe(false);
});

test("needs that were not asked for count as met", async () => {
  const { begun, take, done, settle } = stage();
  const whole = inOrder(
    steps.filter(({ step }) => step === "plugins"),
    take,
  );
  await settle();
  expect(begun).toEqual(["plugins"]);
  await done("plugins");
  expect(await whole).toBe(true);
});
