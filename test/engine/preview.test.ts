import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { parseConfig } from "../../config/parse.ts";
import { contextDigest } from "../../image/context.ts";
import { checkouts, everything, sealedFile } from "../support/checkouts.ts";
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
    traffic: { egressGb: 100, crawlers: 30 },
    assumptions: expect.arrayContaining([expect.stringContaining("as of 2026-08-09")]),
  });
  const same = await summary();
  expect(same, same.output).toMatchObject({ code: 0 });
  expect(same.output).toContain("## `test`: nothing changes");
  expect(same.output).toContain("Unchanged:");

  // A volume keeps the hint of where to place it by which it was made.
  it.config(stack({ regions: { cdg: { memoryMb: 512 }, ewr: {} } }));
  const memory = await it.run(["preview", "--diff"]);
  expect(memory.output).toMatch(/dynamic\/fly:Machine: \(update\)/);
  expect(memory.output).not.toContain("dynamic/fly:Volume");

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
  expect(plan.settings).toEqual(["canary none → cdg-1"]);
  expect(plan.pops).toMatchObject([
    { name: "cdg-1", action: "restarts", volume: "grows from 3 to 5 GB" },
    { name: "fra-1", action: "new", volume: "new" },
    { name: "ewr-1", action: "removed", volume: "deleted" },
  ]);
  expect(plan.pops[0].why).toEqual([
    "memory 256 → 512 MB",
    expect.stringMatching(/^image /),
    "connection limits",
    "volume 3 → 5 GB",
  ]);
  expect(plan.warnings).toEqual([expect.stringContaining("ewr-1: its volume of 3 GB is deleted")]);

  // Refused: the plan and the cost stand below the reason all the same.
  it.config(stack({ regions: { cdg: { volumeGb: 2 } }, egressGb: 1000 }));
  const refused = await summary("--policies");
  expect(refused.code, refused.output).toBe(1);
  expect(refused.output).toContain("> cdg-1: the volume has 3 GB and a volume cannot shrink");
  expect(refused.output).toContain("| egress | $4.00 | $20.00 | +$16.00 |");
  expect(refused.output).not.toContain("pulumi-nodejs:dynamic");

  expect(it.mutations()).toEqual([]);
  for (const { output } of [fresh, same, changed, refused]) expect(output).not.toContain(token);
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
    output: expect.stringMatching(
      /^<!-- fly-pops preview nowhere -->\n\n## `nowhere`: the preview could not run\n\n> \[!CAUTION\]\n> Stack nowhere: there is no Pulumi\.nowhere\.yaml in .*Stacks with a file: test\./,
    ),
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
    output: expect.stringMatching(
      /^There is no stack unmade in the backend .* Create it: npx pulumi stack init unmade\n$/,
    ),
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
  expect(output).toContain("→ a new image");
  expect(output).toContain("The deployment builds the first one.");
  expect(readFileSync(it.stackFile, "utf8")).toBe(file);
});

test.concurrent("without Docker an image that is still the same is not a change, although machines say what it is built from", async ({
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
  expect(other.output).toContain("→ a new image");
  expect(other.output).toContain(`build context ${context.slice(0, 16)} → ${digest.slice(0, 16)}`);

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

const secrets = { vaultRoleId: "role", vaultSecretId: "id", helloKey: "key" };
const previewed = (values: Record<string, unknown>) => {
  const it = checkouts();
  for (const side of ["base", "head"] as const) {
    it.config(side, values);
    it.write(side, "secrets.yaml", sealedFile(secrets));
  }
  return it;
};

test.concurrent("against another checkout, with everything in the stack file: no state, no engine, no environment", async ({
  expect,
}) => {
  using it = previewed(everything());
  const same = await it.summary("--policies");
  expect(same, same.out).toMatchObject({ code: 0, err: "" });
  expect(same.out).toContain("## `test`: nothing changes");
  expect(same.out).toContain("Unchanged: cdg-1, ewr-1, ewr-2.");
  expect(same.out).toContain("Compared with the base branch, not with the deployed stack");

  it.write("head", "secrets.yaml", sealedFile({ ...secrets, vaultSecretId: "another" }));
  const secret = await it.summary();
  expect(secret, secret.out).toMatchObject({ code: 0 });
  expect(secret.out).toContain("## `test`: 3 PoPs restart");
  expect(secret.out).toContain("| cdg-1 (canary) | restarts | kept | secret vaultSecretId changed |");
  expect(secret.out).not.toMatch(/ENC\[|YW5vdGhlcg/);

  it.config(
    "head",
    everything({
      regions: { cdg: { memoryMb: 512, volumeGb: 5 }, ewr: { volumeGb: 4 }, fra: { volumeGb: 5 } },
      rollout: { canary: "ewr" },
      protect: false,
    }),
  );
  it.config("base", everything({ protect: false, keepVolumes: false, egressGb: 1000 }));
  const changed = await it.summary();
  expect(changed, changed.out).toMatchObject({ code: 0 });
  expect(changed.out).toMatch(/\| cdg-1 \| restarts \| grows from 3 to 5 GB \| .*memory 256 → 512 MB/);
  expect(changed.out).toMatch(/\| ewr-2 \| is removed \| deleted \|/);
  expect(changed.out).toMatch(/\| fra-1 \| is new \| new \|/);
  expect(changed.out).toContain("canary cdg-1 → ewr-1");
  expect(changed.out).toContain("| egress | $60.00 | $6.00 | -$54.00 |");
  expect(changed.out).toMatch(/^- +proxy_cache_path .*max_size=/m);
  expect(changed.out).toContain("a different volumeGb changes the image");

  it.config("base", everything({ regions: { cdg: {}, ewr: {}, fra: {}, nrt: {} }, protect: true, keepVolumes: false }));
  const refused = await it.summary();
  expect(refused.code).toBe(1);
  expect(refused.out).toContain("nrt-1: it is protected, because its volume would be deleted");
  expect(refused.out).toMatch(/\| nrt-1 \| is removed \|/);
  expect(refused.out).toContain("| **total** |");

  const nowhere = await it.summary("--base", "no-such-branch");
  expect(nowhere).toMatchObject({ code: 2, err: "" });
  expect(nowhere.out).toContain("## `test`: the preview could not run");
  expect(nowhere.out).toContain("--base no-such-branch is neither a directory nor a commit of this repository.");
});

test.concurrent("against another checkout, what cannot be run is said where the plan would stand", async ({
  expect,
}) => {
  using it = previewed(everything());
  it.config("base", everything({ secretsFile: "not-committed.yaml" }));
  const base = await it.summary();
  expect(base).toMatchObject({ code: 2, err: "" });
  expect(base.out).toMatch(
    /^<!-- fly-pops preview test -->\n\n## `test`: the preview could not run\n\n> \[!CAUTION\]\n/,
  );
  expect(base.out).toContain("the program of the base commit fails");
  expect(base.out).toContain('secretsFile is "not-committed.yaml", but this file does not exist');
  expect(base.out).not.toContain("    at ");

  // A mistake of the pull request itself is a preview that fails.
  it.config("head", everything({ secretsFile: "not-committed.yaml" }));
  const head = await it.summary();
  expect(head.code).toBe(1);
  expect(head.out).toContain('secretsFile is "not-committed.yaml", but this file does not exist');

  it.config("base", everything());
  it.config("head", everything());
  it.write("head", "index.ts", 'setImmediate(() => { throw new Error("a late bug\\nwith a second line"); });');
  const broken = await it.summary();
  expect(broken.code).toBe(2);
  expect(broken.out).toContain("> a late bug\n");
  const asData = await it.summary("--json");
  expect(JSON.parse(asData.out)).toEqual({ stack: "test", error: "a late bug" });
});
