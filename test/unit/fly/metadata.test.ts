import { expect, test } from "vitest";
import { withCurrentKeys } from "../../../fly/metadata.ts";
import { MachineConfig } from "../../../fly/wire.ts";
import { normalise, sameConfig } from "../../../providers/fly/normalise.ts";

const former = { fly_pops_stack: "a/b/c", fly_pops_key: "cdg-1", fly_pops_volume_gb: "3" };
const current = { pops_stack: "a/b/c", pops_pop: "cdg-1", pops_volume_gb: "3" };

test("former metadata keys get their current names, all others stay", () => {
  expect(withCurrentKeys({ ...former, own: "1", fly_platform_version: "v2" })).toEqual({
    ...current,
    own: "1",
    fly_platform_version: "v2",
  });
  expect(withCurrentKeys({ own: "1", fly_pops: "x", constructor: "y" })).toEqual({
    own: "1",
    fly_pops: "x",
    constructor: "y",
  });
});

test("if both keys are there, the current one counts", () => {
  expect(withCurrentKeys({ pops_pop: "ewr-1", fly_pops_key: "cdg-1" })).toEqual({ pops_pop: "ewr-1" });
});

test("a response with former keys is read as one with current keys", () => {
  expect(MachineConfig.parse({ metadata: former })).toEqual({ metadata: current });
  expect(MachineConfig.parse({ metadata: null })).toEqual({ metadata: null });
  expect(MachineConfig.parse({})).toEqual({});
});

test("configs that differ only in former and current keys are the same, other values are not", () => {
  expect(normalise({ metadata: former })).toEqual(normalise({ metadata: current }));
  expect(sameConfig({ metadata: current }, { metadata: former })).toBe(true);
  expect(sameConfig({ metadata: former }, { metadata: current })).toBe(true);
  expect(sameConfig({ metadata: current }, { metadata: { ...former, fly_pops_stack: "x/y/z" } })).toBe(false);
});
