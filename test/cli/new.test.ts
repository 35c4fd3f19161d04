/** `fly-pops new`: a project of one's own, by the lines that docs/upgrading.md has for it. npm is a script that says what it was asked. */
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { CliContext } from "../../cli/context.ts";
import { run } from "../../cli/run.ts";
import { parseStackValues } from "../../config/stack-values.ts";
import { cliContext } from "../support/cli-context.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const root = join(import.meta.dirname, "..", "..");
let dir: string;
let clone: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fly-pops-new-"));
  clone = join(dir, "fly-pops");
  const file = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(join(clone, path)), { recursive: true });
    writeFileSync(join(clone, path), text, { mode });
  };
  file("Pulumi.yaml", readFileSync(join(root, "Pulumi.yaml"), "utf8"));
  file("Pulumi.prod.yaml", readFileSync(join(root, "Pulumi.prod.yaml"), "utf8"));
  file("Pulumi.local.yaml", "encryptionsalt: x\n");
  file("Pulumi.mine.yaml", "encryptionsalt: x\nconfig: {fly-pops:app: mine}\n");
  file("index.ts", "export {};\n");
  file("bin/tool", "#!/bin/sh\n", 0o755);
  const git = (...args: string[]) => execFileSync("git", args, { cwd: clone, stdio: "ignore" });
  git("init");
  git("add", "-A");
  // What work leaves behind, and git does not know.
  file("node_modules/x/index.js", "x");
  file(".cache/image/x", "x");
  file("bin/npm-stand-in/npm", '#!/bin/sh\necho "$* in $PWD"\nexit $NPM_CODE\n', 0o755);
});
afterEach(() => rmSync(dir, { recursive: true }));

/** One of the lines as a shell would take it apart. */
async function line(text: string, over: Partial<CliContext> = {}, env: Record<string, string> = {}) {
  const PATH = [join(clone, "bin", "npm-stand-in"), process.env.PATH].join(delimiter);
  const { context, said } = cliContext({
    env: { PATH, HOME: dir, NPM_CODE: "0", ...env },
    dir: clone,
    clock: virtualClock(),
    ...over,
  });
  const code = await run(text.replace(/^npx fly-pops /, "").split(" "), context);
  return { code, ...said };
}

const flags = "--app my-edge-7 --regions fra,ewr --host www.example.org --origin https://web.example.org";
const documented = [
  ...readFileSync(join(root, "docs", "upgrading.md"), "utf8").matchAll(/^npx fly-pops new .*?(?=\s+#|$)/gm),
].map(([it]) => it);

test("the documented line asks, and makes a project with what git tracks, real files and a stack file that works", async () => {
  expect(documented).toEqual(["npx fly-pops new ../my-edge"]);
  const answers = ["", "My Edge", "my-edge-7", "", "fra, ewr", "www.example.org", "https://web.example.org"];
  const made = await line(documented[0] ?? "", { ask: async () => answers.shift() ?? "" });
  expect(made).toMatchObject({ code: 0, out: "" });
  const target = join(dir, "my-edge");
  expect(readdirSync(target).toSorted()).toEqual(
    ["Pulumi.edge.yaml", "Pulumi.local.yaml", "Pulumi.prod.yaml", "Pulumi.yaml", "bin", "index.ts"].toSorted(),
  );
  expect(lstatSync(join(target, "bin", "tool")).mode & 0o111).not.toBe(0);
  const { config } = parse(readFileSync(join(target, "Pulumi.edge.yaml"), "utf8"));
  expect(parseStackValues(config).pops.map(({ name }) => name)).toEqual(["ewr-1", "fra-1"]);
  expect(config["fly-pops:app"]).toBe("my-edge-7");
  expect(made.err).toContain('app is "My Edge": expected lower-case letters');
  expect(made.err).toMatch(/^run setup -- --only npm,pulumi in \S+\/my-edge$/m);
  expect(made.err).toContain("  cd ../my-edge\n");
  expect(made.err).toContain("  npx pulumi stack init edge\n");
});

test("without questions and without packages: it says what is left to do", async () => {
  const { code, err } = await line(`new ../my-edge ${flags} --no-setup --stack live`);
  expect(code).toBe(0);
  expect(err).toContain("  cd ../my-edge\n  npm run setup\n");
  expect(existsSync(join(dir, "my-edge", "Pulumi.live.yaml"))).toBe(true);
});

test("a setup that fails is said, with what there is by then", async () => {
  const { code, err } = await line(`new ../my-edge ${flags}`, {}, { NPM_CODE: "4" });
  expect(code).toBe(1);
  expect(err).toContain("new: ../my-edge was created, but npm run setup failed there with code 4");
});

describe("refused, and nothing is written", () => {
  test.each([
    [`new ../full ${flags}`, "new: ../full is not empty. Nothing was written."],
    [`new . ${flags}`, "new: . is not empty."],
    [`new ../fly-pops/index.ts ${flags}`, "is a file. Nothing was written."],
    [
      "new ../my-edge --app a",
      "new: --regions, --host, --origin missing, and this is not a terminal that can ask for them. Nothing was written.",
    ],
    [`new ../my-edge ${flags} --regions paris`, "new: --regions: regions.paris"],
    [
      `new ../my-edge ${flags} --stack prod`,
      "new: --stack: Pulumi.prod.yaml exists already. Edit it, or choose another name for the stack.",
    ],
  ])("%s", async (text, sentence) => {
    mkdirSync(join(dir, "full"));
    writeFileSync(join(dir, "full", "x"), "");
    const { code, err } = await line(text);
    expect(code).not.toBe(0);
    expect(err).toContain(sentence);
    expect(existsSync(join(dir, "my-edge"))).toBe(false);
    expect(readdirSync(join(dir, "full"))).toEqual(["x"]);
  });

  test("where git knows nothing", async () => {
    rmSync(join(clone, ".git"), { recursive: true });
    const { code, err } = await line(`new ../my-edge ${flags}`);
    expect(code).toBe(1);
    expect(err).toContain(
      "new: this directory is not a git clone, so the files of the project are unknown. Nothing was written.",
    );
  });
});
