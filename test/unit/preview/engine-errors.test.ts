import { describe, expect, test } from "vitest";
import type { Step } from "../../../preview/digest.ts";
import { planOf } from "../../../preview/plan.ts";
import { machine, step, volume } from "../../support/steps.ts";

const errorsOf = (steps: Step[], ...messages: string[]) =>
  planOf({
    stack: "prod",
    digest: { config: {}, steps, diagnostics: messages.map((message) => ({ message, severity: "error" })) },
    config: { rollout: { maxUnavailable: 1, drainSeconds: 10, timeoutSeconds: 300 }, egressGb: 100, crawlers: 30 },
    now: 0,
  }).errors;

const urnOf = (kind: string, name: string) =>
  `urn:pulumi:prod::fly-pops::fly-pops:index:Edge$fly-pops:index:Pop$pulumi-nodejs:dynamic/fly:${kind}::edge-${name}`;

/** As the engine writes it. */
const protectedText = (urn: string) =>
  `error: Preview failed: resource "${urn}" cannot be deleted\nbecause it is protected. To unprotect the resource, either remove the \`protect\` flag from the resource in your Pulumi program and run \`pulumi up\`, or use the command:\n\`pulumi state unprotect '${urn}'\`\n`;

const advice =
  "nrt-1: it is protected, because its volume would be deleted with its identity and cache. To keep the volume on Fly, deploy fly-pops:keepVolumes: true first (npx pulumi up), then remove nrt-1. To delete it, deploy fly-pops:protect: false first.";

describe("a PoP whose volume would be deleted", () => {
  const gone = (over: object = {}) => [
    step("delete", "Machine", "nrt-1-machine", { old: machine("nrt-1"), protect: true, ...over }),
    step("delete", "Volume", "nrt-1-volume", { old: volume("nrt-1"), protect: true, ...over }),
  ];

  test("is named with both ways on, once, whatever of it the engine met first", () => {
    expect(errorsOf(gone(), protectedText(urnOf("Machine", "nrt-1-machine")))).toEqual([advice]);
    expect(errorsOf(gone(), protectedText(urnOf("Volume", "nrt-1-volume")))).toEqual([advice]);
  });

  test("is named where the preview ended before it showed the step, by its resource's name", () => {
    expect(errorsOf([], protectedText(urnOf("Machine", "nrt-1-machine")))).toEqual([advice]);
  });

  test("is named though the engine, which ends at the first, spoke of another", () => {
    const address = step("delete", "Address", "v4", { old: { type: "v4" }, protect: true });
    expect(errorsOf([...gone(), address], protectedText(urnOf("Machine", "nrt-1-machine")))).toEqual([
      advice,
      "address v4: it is protected, so Pulumi does not delete it. Set fly-pops:protect to false and deploy that first.",
    ]);
  });

  test("is not an error if nothing protects it, or if it stays", () => {
    expect(errorsOf(gone({ protect: false }))).toEqual([]);
    expect(
      errorsOf([step("same", "Volume", "nrt-1-volume", { old: volume("nrt-1"), new: volume("nrt-1"), protect: true })]),
    ).toEqual([]);
  });
});

test("a kept volume that an earlier version protected: one deployment first", () => {
  const steps = [
    step("delete", "Volume", "nrt-1-volume", { old: volume("nrt-1"), protect: true, retainOnDelete: true }),
  ];
  expect(errorsOf(steps)).toEqual([
    "nrt-1: its volume is still protected although it is kept on Fly, because an earlier version deployed the stack. Deploy once without this change (npx pulumi up), then remove nrt-1.",
  ]);
});

describe("a replacement", () => {
  const moved = { ...volume("nrt-1"), app: "other" };

  test("is refused while both the state and the stack file protect; then it is in the engine's words", () => {
    const urn = urnOf("Volume", "nrt-1-volume");
    const text = `unable to replace resource "${urn}"\nas it is currently marked for protection. To unprotect the resource, remove the \`protect\` flag from the resource in your Pulumi program and run \`pulumi up\``;
    const steps = [step("replace", "Volume", "nrt-1-volume", { old: volume("nrt-1"), new: moved, protect: true })];
    const [reported, ...none] = errorsOf(steps, text);
    expect(none).toEqual([]);
    expect(reported).toMatch(/^nrt-1: it is protected, because its volume would be deleted.* then make this change\. /);
  });

  test("may be done where the same change lifts the protection", () => {
    const [it] = [step("replace", "Volume", "nrt-1-volume", { old: volume("nrt-1"), new: moved, protect: true })];
    const lifted = { ...it, newState: { ...it?.newState, protect: false } } as Step;
    expect(errorsOf([lifted])).toEqual([]);
  });
});

describe("other errors", () => {
  test("what a provider's check says begins with the PoP", () => {
    expect(
      errorsOf(
        [],
        "error: pulumi-nodejs:dynamic/fly:Volume resource 'edge-ewr-1-volume': property sizeGb value {2} has a problem: ewr-1: the volume has 3 GB",
      ),
    ).toEqual(["ewr-1: the volume has 3 GB"]);
  });

  test("have a resource's kind and name for its URN", () => {
    expect(errorsOf([], `error: update of "${urnOf("Machine", "cdg-1-machine")}" failed`)).toEqual([
      'update of "Machine edge-cdg-1-machine" failed',
    ]);
  });

  test("without one are as they are", () => {
    expect(errorsOf([], "error: Pulumi.prod.yaml: 1 error")).toEqual(["Pulumi.prod.yaml: 1 error"]);
  });
});
