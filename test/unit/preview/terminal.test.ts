import { expect, test } from "vitest";
import type { Step } from "../../../preview/digest.ts";
import { planOf } from "../../../preview/plan.ts";
import { planText } from "../../../preview/terminal.ts";
import { machine, ref, step, volume } from "../../support/steps.ts";

const text = (steps: Step[], messages: { message: string; severity: string }[] = [], notes: string[] = []) =>
  planText(
    planOf({
      stack: "prod",
      digest: { config: {}, steps, diagnostics: messages },
      config: {
        rollout: { canary: "cdg-1", maxUnavailable: 1, drainSeconds: 10, timeoutSeconds: 300 },
        egressGb: 100,
        crawlers: 30,
      },
      now: 0,
      notes,
    }),
    (_, it) => it,
  );

const same = (pop: string) => step("same", "Machine", pop, { old: machine(pop), new: machine(pop) });

test("a plan reads from top to bottom: what happens, what to heed, PoPs with order, the rest, cost", () => {
  const steps = [
    step("update", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1", { image: ref("b") }) }),
    same("ewr-1"),
    step("delete", "Machine", "nrt-1", { old: machine("nrt-1") }),
    step("delete", "Volume", "nrt-1", { old: volume("nrt-1"), retainOnDelete: true }),
    step("create", "Address", "v4", { new: { app: "my-edge", type: "v4" } }),
  ];
  const [head, said, pops, settings, others, cost, ...none] = text(steps, [], ["Docker cannot be reached."]).split(
    "\n\n",
  );
  expect(head).toBe("prod: 1 PoP restarts, 1 PoP is removed");
  expect(said).toBe(
    "warning: nrt-1: its volume of 3 GB is kept on Fly and still billed. If you do not need it: fly volumes destroy ID -a my-edge\nnote: Docker cannot be reached.",
  );
  expect(pops?.split("\n")).toEqual([
    "PoP             what        volume       why",
    "cdg-1 (canary)  restarts    kept         image aaaaaaaaaaaa → bbbbbbbbbbbb",
    "nrt-1           is removed  kept on Fly  no longer in the stack file",
    expect.stringMatching(/^Order: cdg-1 first and alone/),
    "Unchanged: ewr-1.",
  ]);
  expect(settings).toBe("Settings that change without restart: canary none → cdg-1.");
  expect(others).toBe("resource         what    why\nAddress edge-v4  create");
  expect(cost).toMatch(/^Costs \$\d+\.\d\d per month instead of \$\d+\.\d\d, -\$\d+\.\d\d\.$/);
  expect(none).toEqual([]);
});

test("of nothing says so", () => {
  expect(text([same("cdg-1")])).toMatch(
    /^prod: nothing changes\n\nUnchanged: cdg-1\.\n\nCosts \$\d+\.\d\d per month, as before\.$/,
  );
});

test("of a preview that failed has the reasons and no table", () => {
  expect(text([same("cdg-1")], [{ message: "error: 1 error", severity: "error" }])).toBe(
    "prod: the preview fails\n\nerror: 1 error",
  );
});

test("a PoP that needs no restart says whether only the state changes, or its volume", () => {
  const rows = (steps: Step[]) => text(steps).split("\n\n")[1]?.split("\n").slice(1);
  expect(
    rows([
      step("update", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1", { timeoutSeconds: 60 }) }),
    ]),
  ).toEqual(["cdg-1 (canary)  no restart (state only)  kept    timeout 300 → 60 s"]);
  const kept = { ...volume("cdg-1"), snapshotDays: 5 };
  expect(
    rows([same("cdg-1"), step("update", "Volume", "cdg-1", { old: kept, new: { ...kept, snapshotDays: 0 } })]),
  ).toEqual([expect.stringMatching(/^cdg-1 \(canary\) {2}no restart {2}no more snapshots/)]);
});
