import { describe, expect, test } from "vitest";
import { unbuiltDigest } from "../../../preview/differences.ts";
import { parseDigest, type Step } from "../../../preview/digest.ts";
import { fallbackImage, withoutImageSteps } from "../../../preview/fallback-image.ts";
import { markdown } from "../../../preview/markdown.ts";
import { planOf } from "../../../preview/plan.ts";
import { machine, ref, step, volume } from "../../support/steps.ts";

const summary = (
  steps: Step[],
  over: { diagnostics?: { message: string; severity: string }[]; notes?: string[] } = {},
) =>
  markdown(
    planOf({
      stack: "prod",
      digest: { config: {}, steps, diagnostics: over.diagnostics ?? [] },
      config: {
        rollout: { canary: "cdg-1", maxUnavailable: 1, drainSeconds: 10, timeoutSeconds: 300 },
        egressGb: 100,
        crawlers: 30,
      },
      now: 0,
      ...(over.notes && { notes: over.notes }),
    }),
  );

const restart = (name: string) =>
  step("update", "Machine", name, { old: machine(name), new: machine(name, { image: ref("b") }) });

describe("a summary", () => {
  test("begins with the mark by which the next run finds it, then says what happens", () => {
    expect(
      summary([restart("ewr-1"), restart("cdg-1")])
        .split("\n")
        .slice(0, 9),
    ).toEqual([
      "<!-- fly-pops preview prod -->",
      "",
      "## `prod`: 2 PoPs restart",
      "",
      "| PoP | what | volume | why |",
      "| --- | --- | --- | --- |",
      "| cdg-1 (canary) | restarts | kept | image aaaaaaaaaaaa → bbbbbbbbbbbb |",
      "| ewr-1 | restarts | kept | image aaaaaaaaaaaa → bbbbbbbbbbbb |",
      "",
    ]);
  });

  test("says in which order and what happens when one does not come up", () => {
    expect(summary([restart("ewr-1"), restart("cdg-1")])).toContain("<!-- fly-pops preview prod -->");
  });

  test("has the cost by kind, before, after and the difference", () => {
    const text = summary([
      step("create", "Machine", "ewr-1", { new: machine("ewr-1") }),
      step("create", "Volume", "ewr-1", { new: volume("ewr-1") }),
    ]);
    expect(text).toContain("| machines | $0.00 | $1.94 | +$1.94 |");
    expect(text).toContain("| **total** | $0.00 | $4.39 | +$4.39 |");
    expect(text).toContain("- Each PoP runs the whole month and sends 100 GB to visitors (fly-pops:egressGb)");
  });

  test("of nothing says so, and who is not touched", () => {
    const text = summary([step("same", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1") })]);
    expect(text).toContain("## `prod`: nothing changes");
    expect(text).toContain("<!-- fly-pops preview prod -->");
    expect(text).not.toContain("Order:");
  });

  test("puts warnings above the tables, one block however many", () => {
    const text = summary([], {
      diagnostics: [
        { message: "first", severity: "warning" },
        { message: "second", severity: "warning" },
      ],
      notes: ["assumed"],
    });
    expect(text).toContain("> [!WARNING]\n> - first\n> - second\n\n> [!NOTE]\n> assumed\n");
  });

  test("of a preview that fails before any step is the reason alone, all its lines quoted", () => {
    const text = summary([], {
      diagnostics: [{ message: "2 errors. Nothing was changed.\n  a\n  b", severity: "error" }],
    });
    expect(text).toBe(
      "<!-- fly-pops preview prod -->\n\n## `prod`: the preview fails\n\n> [!CAUTION]\n> 2 errors. Nothing was changed.\n>   a\n>   b\n",
    );
  });

  test("text from elsewhere does not break out of its cell", () => {
    const text = summary([
      step("update", "Address", "v4", { old: { app: "a" }, new: { app: "x | y\n| z" }, outputs: {} }),
    ]);
    expect(text).toContain("| Address edge-v4 | update | app a → x \\| y \\| z |");
  });

  test("of 100 PoPs fits a comment", () => {
    const names = Array.from({ length: 100 }, (_, index) => `cdg-${index + 1}`);
    const steps = names.flatMap((name) => [restart(name), step("delete", "Volume", name, { old: volume(name) })]);
    expect(summary(steps).length).toBeLessThan(65_536);
  });
});

describe("the image where Docker cannot be had", () => {
  const exported = (outputs: Record<string, unknown>) => ({
    deployment: { resources: [{ type: "pulumi:pulumi:Stack" }, { type: "fly-pops:index:SidecarImage", outputs }] },
  });

  test("is the last one, while nothing it is made from changed", () => {
    expect(fallbackImage(exported({ ref: ref("a"), context: "c1" }), "c1", "my-edge")).toEqual({
      imageRef: ref("a"),
      note: "Docker is not reachable, so no image was built. Its sources did not change, so the preview uses the last image.",
    });
  });

  test.each([
    ["changed", { ref: ref("a"), context: "c0" }],
    ["was never written down", { ref: ref("a") }],
  ])("is another one when what it is made from %s", (_, outputs) => {
    expect(fallbackImage(exported(outputs), "c1", "my-edge")).toEqual({
      imageRef: `registry.fly.io/my-edge@${unbuiltDigest}`,
      note: "Docker is not reachable, so no image was built. Its sources changed: the deployment builds a new one, and every PoP restarts with it.",
    });
  });

  test.each([{}, { deployment: { resources: null } }, { deployment: { resources: [] } }])(
    "is the first one where there is none yet (%j)",
    (empty) => {
      expect(fallbackImage(empty, "c1", "my-edge").note).toBe(
        "Docker is not reachable, so no image was built. The deployment builds the first one.",
      );
    },
  );

  test("steps that are caused only by passing the image are not part of the plan", () => {
    const kept = step("delete", "Volume", "cdg-1", { old: volume("cdg-1") });
    const artefacts = ["docker:index/image:Image", "fly-pops:index:SidecarImage", "pulumi:providers:docker"].map(
      (type) => step("delete", type, "image", { old: {} }),
    );
    expect(withoutImageSteps([...artefacts, kept])).toEqual([kept]);
  });
});

describe("the CLI's result", () => {
  test("is found behind what plugins wrote", () => {
    expect(parseDigest('warning: a plugin is old\n{\n  "steps": []\n}\n').steps).toEqual([]);
  });

  test.each(["", "error: no stack named 'x' found", '{"steps": 3}'])("is missing in %j, said as a sentence", (text) => {
    expect(() => parseDigest(text)).toThrow("pulumi preview printed no result.");
  });
});
