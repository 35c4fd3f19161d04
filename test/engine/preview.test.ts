import { mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "vitest";
import { stringify } from "yaml";
import { parseConfig } from "../../config/parse.ts";
import { contextDigest } from "../../image/context.ts";
import { image } from "../support/context.ts";
import { engine, stack, token } from "../support/engine.ts";

/** Nothing answers there. */
const noDocker = { DOCKER_HOST: "tcp://127.0.0.1:9" };
/** As in a pull request. */
const noToken = { FLY_API_TOKEN: undefined, FLY_API_HOSTNAME: "http://127.0.0.1:9" };

test.concurrent("a stack's previews: new, unchanged, changed; no call, no token, no Docker", async ({ expect }) => {
  await using it = await engine();
  const summary = (...args: string[]) =>
    it.script(["preview/main.ts", "--stack", "test", ...args], { ...noToken, ...noDocker });

  const fresh = await summary();
  expect(fresh, fresh.output).toMatchObject({ code: 0 });
  expect(fresh.output).toContain("## `test`: 2 PoPs are new");
  expect(fresh.output).toContain("| **total** | $0.00 | $11.04 | +$11.04 |");
  expect(it.fly.calls.list).toEqual([]);

  await it.up();
  it.mutations();
  const cost = await it.run(["stack", "output", "cost", "--json"]);
  expect(JSON.parse(cost.output)).toMatchObject({
    monthly: { machines: 4.14, volumes: 0.9, addresses: 2, egress: 4, total: 11.04 },
    currency: "USD",
    assumptions: expect.arrayContaining([expect.stringContaining("as of 2026-08-09")]),
  });
  const same = await summary();
  expect(same, same.output).toMatchObject({ code: 0 });
  expect(same.output).toContain("## `test`: nothing changes");
  expect(same.output).toContain("Not touched:");

  it.config(
    stack({
      regions: { cdg: { memoryMb: 512, volumeGb: 5 }, fra: {} },
      imageRef: image(2),
      rollout: { canary: "cdg", drain: 0, timeout: "60s" },
    }),
  );
  const changed = await summary("--json");
  expect(changed, changed.output).toMatchObject({ code: 0 });
  const plan = JSON.parse(changed.output);
  expect(plan.pops).toMatchObject([
    { name: "cdg-1", action: "restarts", volume: "grows from 3 to 5 GB" },
    { name: "fra-1", action: "new", volume: "new" },
    { name: "ewr-1", action: "removed", volume: "deleted" },
  ]);
  expect(plan.pops[0].why).toEqual(
    expect.arrayContaining(["memory 256 → 512 MB", expect.stringMatching(/^image /), "volume 3 → 5 GB"]),
  );
  expect(plan.warnings).toEqual([expect.stringContaining("ewr-1: its volume of 3 GB is deleted")]);

  expect(it.mutations()).toEqual([]);
  for (const { output } of [fresh, same, changed]) expect(output).not.toContain(token);
});

test.concurrent("a preview that cannot be says why in a sentence, by its exit code whose fault it is", async ({
  expect,
}) => {
  await using it = await engine();
  const summary = (...args: string[]) =>
    it.script(["preview/main.ts", "--stack", "test", ...args], { ...noToken, ...noDocker });
  it.config(stack({ regions: { cgd: {} } }));
  const wrong = await summary();
  expect(wrong.code).toBe(1);
  expect(wrong.output).toContain("## `test`: the preview fails");
  expect(wrong.output).toContain("regions.cgd: no such region; did you mean cdg?");
  expect(wrong.output).not.toContain("at ");

  expect(wrong.output).not.toContain(token);

  const nowhere = await it.script(["preview/main.ts", "--stack", "nowhere"]);
  expect(nowhere).toMatchObject({
    code: 2,
    output: expect.stringMatching(/^Stack nowhere: there is no Pulumi\.nowhere\.yaml in .*Stacks with a file: test\./),
  });
  it.config(stack());
  writeFileSync(join(it.project, "Pulumi.unmade.yaml"), readFileSync(it.stackFile));
  const unmade = await it.script(["preview/main.ts", "--stack", "unmade"]);
  expect(unmade).toMatchObject({ code: 2, output: expect.stringContaining("no stack named 'unmade' found") });
  // The same where the state is asked for the last image.
  it.config({ ...stack(), imageRef: "" });
  writeFileSync(join(it.project, "Pulumi.unmade.yaml"), readFileSync(it.stackFile));
  const command = await it.script(["cli/main.ts", "preview", "--stack", "unmade"], noDocker);
  expect(command).toMatchObject({
    code: 1,
    output: expect.stringMatching(/^There is no stack unmade where .* Make it: npx pulumi stack init unmade\n$/),
  });
  const nameless = await it.script(["preview/main.ts"]);
  expect(nameless).toMatchObject({
    code: 2,
    output: expect.stringMatching(/^--stack is missing\.\n\nnpm run -s preview:summary/),
  });
  expect(it.fly.calls.list).toEqual([]);
});

test.concurrent("without Docker and imageRef the PoPs are shown with an image that is still to be built; the stack file stays as it is", async ({
  expect,
}) => {
  await using it = await engine();
  await it.up();
  it.config({ ...stack(), imageRef: "" });
  const file = readFileSync(it.stackFile, "utf8");
  const { code, output } = await it.script(["preview/main.ts", "--stack", "test"], noDocker);
  expect(code, output).toBe(0);
  expect(output).toContain("## `test`: 2 PoPs restart");
  expect(output).toContain("→ one that is still to be built");
  expect(output).toContain("There is none yet: the deployment builds the first.");
  expect(readFileSync(it.stackFile, "utf8")).toBe(file);
});

test.concurrent("without Docker an image that is still the one is no change, though machines say what it is made from", async ({
  expect,
}) => {
  const root = join(import.meta.dirname, "..", "..");
  const context = contextDigest(parseConfig(stack()).image, root);
  // As a build leaves the state: nothing is built here.
  const left = `import * as pulumi from "@pulumi/pulumi";
import "./real-index.ts";
class SidecarImage extends pulumi.ComponentResource {
  constructor() {
    super("fly-pops:index:SidecarImage", "edge-image");
    this.registerOutputs({ ref: ${JSON.stringify(image(1))}, context: ${JSON.stringify(context)} });
  }
}
new SidecarImage();
`;
  await using it = await engine({
    files: { "index.ts": left, "real-index.ts": readFileSync(join(root, "index.ts"), "utf8") },
  });
  writeFileSync(it.stackFile, `${readFileSync(it.stackFile, "utf8")}  fly-pops-preview:context: ${context}\n`);
  const made = await it.up();
  expect(made.code, made.output).toBe(0);
  const envs = () => Object.values(it.fly.snapshot().machines).map(({ versions }) => versions.at(-1)?.received.env);
  expect(envs()).toMatchObject([{ POP_EXPECTED_CONTEXT: context }, { POP_EXPECTED_CONTEXT: context }]);

  it.config({ ...stack(), imageRef: "" });
  const summary = () => it.script(["preview/main.ts", "--stack", "test"], noDocker);
  const same = await summary();
  expect(same, same.output).toMatchObject({ code: 0 });
  expect(same.output).toContain("## `test`: nothing changes");

  const changed = { ...stack(), imageRef: "", sites: [{ host: "www.example.org", origin: "http://other:8080" }] };
  it.config(changed);
  const digest = contextDigest(parseConfig(changed).image, root);
  const other = await summary();
  expect(other.output).toContain("→ one that is still to be built");
  expect(other.output).toContain(`made from ${context.slice(0, 16)} → ${digest.slice(0, 16)}`);

  // An image of the operator's own: nothing is expected of it.
  it.config(stack({ imageRef: image(2) }));
  const done = await it.up();
  expect(done.code, done.output).toBe(0);
  expect(envs()).toEqual([{ POP_NAME: expect.any(String) }, { POP_NAME: expect.any(String) }]);
});

test.concurrent("a production stack is warned of in a plain preview too", async ({ expect }) => {
  await using it = await engine({ stack: "prod" });
  it.config(stack({ regions: { cdg: {} } }));
  const { code, output } = await it.run(["preview"]);
  expect(code, output).toBe(0);
  expect(output).toContain("Stack prod has PoPs in one region only, cdg");
  expect(output).toContain("Stack prod neither protects nor keeps its volumes");
});

test.concurrent("against another checkout: no state, no engine, no environment", async ({ expect }) => {
  await using it = await engine();
  const base = mkdtempSync(join(tmpdir(), "fly-pops-base-"));
  try {
    const root = join(import.meta.dirname, "..", "..");
    for (const entry of ["index.ts", "package.json", "node_modules", "Pulumi.yaml"])
      symlinkSync(join(root, entry), join(base, entry));
    const write = (values: Record<string, unknown>) => {
      const keys = Object.entries(values).map(([key, value]) => [`fly-pops:${key}`, value]);
      const token = { "fly:token": { secure: "v1:abc:planted-ciphertext" } };
      writeFileSync(join(base, "Pulumi.test.yaml"), stringify({ config: { ...Object.fromEntries(keys), ...token } }));
    };
    const summary = async () =>
      it.script(["preview/main.ts", "--stack", "test", "--base", base], { ...noToken, PULUMI_BACKEND_URL: undefined });

    write(stack());
    const same = await summary();
    expect(same, same.output).toMatchObject({ code: 0 });
    expect(same.output).toContain("## `test`: nothing changes");
    expect(same.output).toContain("Compared with the base branch, not with what is deployed");

    write(stack({ regions: { cdg: { memoryMb: 512 }, fra: {} }, keepVolumes: true }));
    const changed = await summary();
    expect(changed, changed.output).toMatchObject({ code: 0 });
    expect(changed.output).toContain("memory 512 → 256 MB");
    expect(changed.output).toMatch(/\| fra-1 \| goes \| stays on Fly \|/);
    expect(changed.output).toMatch(/\| ewr-1 \| is new \| new \|/);

    write(stack({ regions: { cdg: {}, fra: {} }, protect: true }));
    const refused = await summary();
    expect(refused.code).toBe(1);
    expect(refused.output).toContain(
      "fra-1: it is protected, since its volume would be deleted, and with that its identity and cache. To keep the volume on Fly, deploy fly-pops:keepVolumes: true first",
    );
    expect(refused.output).not.toContain("planted-ciphertext");

    const nowhere = await it.script(["preview/main.ts", "--stack", "test", "--base", "no-such-branch"]);
    expect(nowhere).toMatchObject({
      code: 2,
      output: "--base no-such-branch is neither a folder nor a commit of this repository.\n",
    });
  } finally {
    rmSync(base, { recursive: true, force: true });
  }
});
