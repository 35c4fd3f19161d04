import { describe, expect, test } from "vitest";
import { unbuiltDigest } from "../../../preview/differences.ts";
import type { Step } from "../../../preview/digest.ts";
import { headline, markdown } from "../../../preview/markdown.ts";
import { type PlanInput, planOf } from "../../../preview/plan.ts";
import { unknownValue } from "../../../providers/unknown-value.ts";
import { machine, ref, step, volume } from "../../support/steps.ts";

const plan = (steps: Step[], over: Partial<PlanInput> = {}) =>
  planOf({
    stack: "prod",
    digest: { config: {}, steps, diagnostics: [] },
    config: { rollout: { maxUnavailable: 1, drainSeconds: 10, timeoutSeconds: 300 }, egressGb: 100, crawlers: 30 },
    now: Date.parse("2026-11-25T12:00:00Z"),
    ...over,
  });

const canary = (name: string): Partial<PlanInput> => ({
  config: {
    rollout: { canary: name, maxUnavailable: 1, drainSeconds: 10, timeoutSeconds: 300 },
    egressGb: 100,
    crawlers: 30,
  },
});

describe("a machine", () => {
  const update = (old: object, new_: object, outputs = {}) =>
    plan([step("update", "Machine", "cdg-1", { old: { ...old }, new: { ...new_ }, outputs })]);

  test("with another image and more memory restarts, reasons in words", () => {
    expect(update(machine("cdg-1"), machine("cdg-1", { image: ref("b"), memoryMb: 512 })).pops).toEqual([
      { name: "cdg-1", action: "restarts", why: ["memory 256 → 512 MB", "image aaaaaaaaaaaa → bbbbbbbbbbbb"] },
    ]);
  });

  test.each([unknownValue, `registry.fly.io/my-edge@${unbuiltDigest}`])(
    "whose image is still to be built says so (%s)",
    (image) => {
      expect(update(machine("cdg-1"), machine("cdg-1", { image })).pops[0]?.why).toEqual([
        "image aaaaaaaaaaaa → a new image",
      ]);
    },
  );

  test("whose timeout alone changes runs on", () => {
    expect(update(machine("cdg-1"), machine("cdg-1", { timeoutSeconds: 60 })).pops).toEqual([
      { name: "cdg-1", action: "no-restart", why: ["timeout 300 → 60 s"] },
    ]);
  });

  test("whose metadata keys alone get their current names is not restarted", () => {
    const size = (key: string) => ({
      ...machine("cdg-1"),
      config: { ...machine("cdg-1").config, metadata: { [key]: "3" } },
    });
    expect(update(size("fly_pops_volume_gb"), size("pops_volume_gb")).pops).toEqual([
      { name: "cdg-1", action: "no-restart", why: ["names of metadata keys"] },
    ]);
  });

  test("that was left half made restarts though nothing differs", () => {
    expect(update(machine("cdg-1"), machine("cdg-1"), { complete: false }).pops).toEqual([
      { name: "cdg-1", action: "restarts", why: ["not finished by the last run"] },
    ]);
  });

  test("values of its environment are not shown", () => {
    const secretive = { ...machine("cdg-1"), config: { ...machine("cdg-1").config, env: { TOKEN: "planted-7f3a" } } };
    const reported = update(machine("cdg-1"), secretive);
    expect(reported.pops[0]?.why).toEqual(["environment POP_NAME", "environment TOKEN"]);
    expect(JSON.stringify(reported)).not.toContain("planted-7f3a");
  });

  test("with another image says what that is made from, as the image's tag does", () => {
    const from = (context: string) => ({
      ...machine("cdg-1"),
      config: { ...machine("cdg-1").config, env: { POP_NAME: "cdg-1", POP_EXPECTED_CONTEXT: context.repeat(64) } },
    });
    expect(update(from("a"), from("b")).pops[0]?.why).toEqual(["build context aaaaaaaaaaaaaaaa → bbbbbbbbbbbbbbbb"]);
  });

  test("of another app is replaced, and is down during that time", () => {
    const moved = { ...machine("cdg-1"), app: "other" };
    const steps = ["delete-replaced", "replace", "create-replacement"].map((op) =>
      step(op, "Machine", "cdg-1", { old: machine("cdg-1"), new: moved }),
    );
    const { pops, warnings } = plan(steps);
    expect(pops).toEqual([{ name: "cdg-1", action: "replaced", why: ["app my-edge → other"] }]);
    expect(warnings).toEqual([
      "cdg-1: its machine is destroyed before the new one is created. The PoP does not serve in between.",
    ]);
  });
});

describe("order", () => {
  const steps = (op: string, ...names: string[]) =>
    names.map((name) =>
      step(op, "Machine", name, {
        old: op === "create" ? undefined : machine(name),
        new: op === "delete" ? undefined : machine(name, { image: ref("b") }),
      }),
    );

  test("the canary first, the others as the engine takes them, what goes last", () => {
    const { pops } = plan(
      [...steps("delete", "ams-1"), ...steps("update", "ewr-1", "cdg-1"), ...steps("create", "fra-1")],
      canary("cdg-1"),
    );
    expect(pops.map(({ name, action }) => `${name} ${action}`)).toEqual([
      "cdg-1 restarts",
      "ewr-1 restarts",
      "fra-1 new",
      "ams-1 removed",
    ]);
  });

  test("the number at once comes from the machines' inputs, not from the file", () => {
    const wide = { rollout: { maxUnavailable: 9, drainSeconds: 10, timeoutSeconds: 300 }, egressGb: 0, crawlers: 30 };
    expect(plan(steps("update", "cdg-1"), { config: wide }).rollout.maxUnavailable).toBe(1);
  });

  test("PoPs nothing happens to are named apart", () => {
    const { pops, unchanged } = plan(steps("same", "cdg-1", "ewr-1"));
    expect({ pops, unchanged }).toEqual({ pops: [], unchanged: ["cdg-1", "ewr-1"] });
  });
});

describe("a volume", () => {
  test("that grows touches no machine", () => {
    const steps = [
      step("same", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1") }),
      step("update", "Volume", "cdg-1", { old: volume("cdg-1"), new: volume("cdg-1", 5) }),
    ];
    expect(plan(steps).pops).toEqual([
      { name: "cdg-1", action: "no-restart", volume: "grows from 3 to 5 GB", why: ["volume 3 → 5 GB"] },
    ]);
  });

  test("that would be deleted is warned of, with the way to keep it", () => {
    const { pops, warnings, after } = plan([step("delete", "Volume", "cdg-1", { old: volume("cdg-1") })]);
    expect(pops).toMatchObject([{ name: "cdg-1", volume: "deleted" }]);
    expect(warnings).toEqual([
      "cdg-1: its volume of 3 GB is deleted with the PoP's identity and cache. To keep it, set fly-pops:keepVolumes: true and run pulumi up before removing the PoP.",
    ]);
    expect(after.monthly.volumes).toBe(0);
  });

  test("that kept on Fly stays on the bill", () => {
    const { pops, warnings, after } = plan([
      step("delete", "Volume", "cdg-1", { old: volume("cdg-1"), retainOnDelete: true }),
    ]);
    expect(pops).toMatchObject([{ name: "cdg-1", volume: "kept on Fly" }]);
    expect(warnings).toEqual([
      "cdg-1: its volume of 3 GB is kept on Fly and still billed. If you do not need it: fly volumes destroy ID -a my-edge",
    ]);
    expect(after.monthly.volumes).toBe(0.45);
  });
});

describe("an auth key that has expired", () => {
  const key = step("same", "pulumi-nodejs:dynamic/tailnet:AuthKey", "cdg-1-key", {
    old: { pop: "cdg-1" },
    new: { pop: "cdg-1" },
    outputs: { expires: "2026-11-25T11:00:00Z" },
  });
  const created = step("create", "Machine", "cdg-1", { new: machine("cdg-1") });

  test("is warned of where a machine is yet to join by it", () => {
    expect(plan([key, created]).warnings).toEqual([
      "cdg-1: its auth key has expired (2026-11-25T11:00:00Z), so the new machine cannot join the tailnet. Run pulumi refresh first: it creates a new key.",
    ]);
  });

  test("is nothing to a machine that joined long ago", () => {
    const same = step("same", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1") });
    expect(plan([key, same]).warnings).toEqual([]);
  });

  test("that is still good is nothing either", () => {
    expect(plan([key, created], { now: Date.parse("2026-11-25T10:59:00Z") }).warnings).toEqual([]);
  });
});

test("cost before and after, of what was and what is to be", () => {
  const { before, after } = plan([
    step("update", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1", { memoryMb: 512 }) }),
    step("same", "Volume", "cdg-1", { old: volume("cdg-1"), new: volume("cdg-1") }),
    step("create", "Machine", "ewr-1", { new: machine("ewr-1") }),
    step("create", "Volume", "ewr-1", { new: volume("ewr-1") }),
    step("delete", "Address", "v4", { old: { app: "my-edge", type: "v4" } }),
    step("same", "Address", "v6", { old: { app: "my-edge", type: "v6" }, new: { app: "my-edge", type: "v6" } }),
  ]);
  expect(before.monthly).toEqual({ machines: 2.2, volumes: 0.45, snapshots: 0, addresses: 2, egress: 2, total: 6.65 });
  expect(after.monthly).toEqual({ machines: 5.56, volumes: 0.9, snapshots: 0, addresses: 0, egress: 4, total: 10.46 });
});

test("snapshots that a stack never spoke of are Fly's own, on the bill before and gone after; the volume says so", () => {
  const { snapshotDays: _, ...unspoken } = volume("cdg-1", 40);
  const steps = [
    step("same", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1") }),
    step("update", "Volume", "cdg-1", { old: unspoken, new: volume("cdg-1", 40) }),
  ];
  const { before, after, pops } = plan(steps);
  // 40 GB kept for Fly's five days, 10 GB of them free, at 0.08.
  expect([before.monthly.snapshots, after.monthly.snapshots]).toEqual([15.2, 0]);
  expect(pops).toMatchObject([{ name: "cdg-1", action: "no-restart", volume: "no more snapshots" }]);
});

describe("an address", () => {
  const v4 = { app: "my-edge", type: "v4" };
  const v6 = { app: "my-edge", type: "v6" };
  const gone = step("delete", "Address", "v4", { old: v4, outputs: { ip: "203.0.113.1" } });

  test("that goes is a caution, with what DNS must say first; it heads the summary", () => {
    const it = plan([gone], { hosts: ["www.example.org"] });
    expect(it.cautions).toEqual([
      "203.0.113.1 is released and cannot be restored: change the A records of www.example.org first.",
    ]);
    expect(it.warnings).toEqual([]);
    expect(headline(it)).toBe("an address is released");
  });

  test.each([
    [[], "the sites"],
    [["a.example", "b.example"], "a.example and b.example"],
    [["a.example", "b.example", "c.example", "d.example"], "a.example and 3 other sites"],
  ])("of %j, by its own kind of record, even where its number is not known", (hosts, sites) => {
    expect(plan([step("delete", "Address", "v6", { old: v6 })], { hosts }).cautions).toEqual([
      `The v6 address is released and cannot be restored: change the AAAA records of ${sites} first.`,
    ]);
  });

  test("that stays, is new, or is planned again by --replace, is not removed", () => {
    for (const op of ["same", "create", "update", "replace"]) {
      const it = plan([
        step(op, "Address", "v4", { old: op === "create" ? undefined : v4, new: { ...v4, owner: "me" } }),
      ]);
      expect({ op, cautions: it.cautions, lost: it.lost }).toEqual({ op, cautions: [], lost: { addresses: [] } });
    }
  });

  test("of an app that gets another name goes with all the others: one sentence, not one a PoP", () => {
    const others = { app: "new-edge" };
    const it = plan(
      [
        step("replace", "App", "app", { old: { app: "my-edge" }, new: others }),
        step("replace", "Address", "v4", {
          old: v4,
          new: { ...v4, app: unknownValue },
          outputs: { ip: "203.0.113.1" },
        }),
        step("replace", "Address", "v6", {
          old: v6,
          new: { ...v6, app: unknownValue },
          outputs: { ip: "2001:db8::1" },
        }),
        ...["cdg-1", "ewr-1"].flatMap((pop) => [
          step("replace", "Volume", pop, {
            old: volume(pop),
            new: { ...volume(pop), ...others },
            retainOnDelete: true,
          }),
          step("replace", "Machine", pop, { old: machine(pop), new: { ...machine(pop), ...others } }),
        ]),
      ],
      { hosts: ["www.example.org"] },
    );
    expect(it.cautions).toEqual([
      "The app my-edge is replaced by new-edge: all PoPs are recreated there, with new addresses. 203.0.113.1 and 2001:db8::1 are released and cannot be restored. The edge is down until DNS is updated: the A and AAAA records of www.example.org must point to the new addresses, which are unknown until then.",
    ]);
    expect(it.warnings).toEqual([
      "Volumes are kept in my-edge and still billed: cdg-1 3 GB, ewr-1 3 GB. If you do not need them: fly volumes destroy ID -a my-edge",
    ]);
    expect(headline(it)).toBe("the edge is down until DNS is updated, addresses change, 2 PoPs are replaced");
  });

  test("is shown below the reason if the preview fails", () => {
    const diagnostics = [{ message: "it is protected", severity: "error" }];
    const text = markdown(plan([gone], { digest: { config: {}, steps: [gone], diagnostics } }));
    expect(text).toContain(
      "> [!CAUTION]\n> it is protected\n\n> [!CAUTION]\n> 203.0.113.1 is released and cannot be restored: change the A records of the sites first.\n",
    );
  });
});

test("other changes are reported; components and providers are not", () => {
  const { others } = plan([
    step("create", "Address", "v4", { new: { app: "my-edge", type: "v4" } }),
    step("update", "docker:index/image:Image", "image-build", { old: { a: 1 }, new: { a: 2 } }),
    step("create", "fly-pops:index:Pop", "cdg-1", { new: {} }),
    step("update", "pulumi:providers:pulumi-nodejs", "default", { old: { a: 1 }, new: { a: 2 } }),
  ]);
  expect(others.map(({ kind, name, op }) => [kind, name, op])).toEqual([
    ["Address", "edge-v4", "create"],
    ["Image", "edge-image-build", "update"],
  ]);
});

test("messages of the engine: warnings and errors, each once, without colour marks, without the last empty word", () => {
  const { warnings, errors } = plan([], {
    digest: {
      config: {},
      steps: [],
      diagnostics: [
        { message: "<{%reset%}>one region only<{%reset%}>", severity: "warning" },
        { message: "one region only", severity: "warning" },
        { message: "error: Pulumi.prod.yaml: 1 error", severity: "error" },
        { message: "preview failed", severity: "error" },
        { message: "by the way", severity: "info" },
      ],
    },
  });
  expect({ warnings, errors }).toEqual({ warnings: ["one region only"], errors: ["Pulumi.prod.yaml: 1 error"] });
});

test.each([
  [true, false, "1 volume is deleted when its PoP is removed, from now on (cdg-1)"],
  [false, true, "1 volume is kept on Fly when its PoP is removed, from now on (cdg-1)"],
])("a volume whose keeping changes from %s to %s is a setting, and no change of its PoP", (before, after, setting) => {
  const steps = [
    step("same", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1") }),
    step("update", "Volume", "cdg-1", {
      old: { ...volume("cdg-1"), kept: before },
      new: { ...volume("cdg-1"), kept: after },
      retainOnDelete: before,
      becomes: { retainOnDelete: after },
    }),
  ];
  expect(plan(steps)).toMatchObject({ pops: [], unchanged: ["cdg-1"], settings: [setting] });
});

test("a volume without an earlier value of whether it is kept is not a change", () => {
  const steps = [
    step("same", "Machine", "cdg-1", { old: machine("cdg-1"), new: machine("cdg-1") }),
    step("update", "Volume", "cdg-1", { old: volume("cdg-1"), new: { ...volume("cdg-1"), kept: true } }),
  ];
  expect(plan(steps)).toMatchObject({ pops: [], unchanged: ["cdg-1"] });
});
