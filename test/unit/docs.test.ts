/** What README and docs/ claim: commands that work, sentences that the code says, links that lead somewhere, pages that are as they are generated. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Command } from "commander";
import { describe, expect, test } from "vitest";
import { createProgram } from "../../cli/program.ts";
import manifest from "../../package.json" with { type: "json" };
import { dashboard, dashboardPath } from "../../tools/docs/grafana.ts";
import { cliContext } from "../support/cli-context.ts";
import { documentedStack } from "../support/documented-stack.ts";
import { virtualClock } from "../support/virtual-clock.ts";

const root = join(import.meta.dirname, "..", "..");
const pages = ["README.md", "CHANGELOG.md", ...globSync("docs/*.md", { cwd: root })].toSorted();
const read = (path: string) => readFileSync(join(root, path), "utf8");

/** Lines of fenced `sh` blocks without comments, with the page they stand in. */
const commands = pages.flatMap((page) =>
  [...read(page).matchAll(/^```sh\n(.*?)^```/gms)].flatMap(([, block = ""]) =>
    block
      .split("\n")
      .map((line) => line.replace(/(^|\s+)#.*$/, "").trim())
      .filter((line) => line !== "")
      .map((line) => ({ page, line })),
  ),
);

/** Commands of ours between backticks in tables and texts: what a reader copies is not in fenced blocks alone. */
const inline = pages
  .filter((page) => page !== "CHANGELOG.md")
  .flatMap((page) =>
    [
      ...read(page)
        .replaceAll(/^```.*?^```/gms, "")
        .matchAll(/`((?:npx fly-pops|npx pulumi|npm run) [^`]+)`/g),
    ].map(([, line = ""]) => ({ page, line: line.replace(/\s+/g, " ") })),
  );

/** How each command is known to work: a test with these words in it, or why there is none. */
type Cover = { command: RegExp; by: string; words: string } | { command: RegExp; not: string };

const covers: Cover[] = [
  { command: /^git clone /, not: "the address is the reader's own" },
  {
    command: /^node setup\/go-trim\.mjs /,
    not: "fetches whatever is new; what it does to go.mod and go.sum: test/unit/setup/go.test.ts",
  },
  { command: /^git (remote|fetch|merge|init) /, not: "git's own, with the address of a release" },
  {
    command: /^cd \.\.\/my-edge && npx pulumi stack init edge$/,
    by: "test/cli/new.test.ts",
    words: "npx pulumi stack init edge",
  },
  {
    command: /age-keygen|^printf 'creation_rules/,
    not: "age's own, and a file in the reader's directory: test/support/sops-user.ts makes the same",
  },
  { command: /^npm run -s preview:summary .*--base /, by: "test/support/checkouts.ts", words: '"--base", dir.base' },
  {
    command: /^npm run -s preview:summary /,
    by: ".github/workflows/preview-stack.yml",
    words: "npm run -s preview:summary",
  },
  { command: /^npm run test:fast$/, by: "package.json", words: '"test:fast"' },
  {
    command: /^npm run setup -- --only npm,pulumi$/,
    by: ".github/workflows/preview-stack.yml",
    words: "--only npm,pulumi",
  },
  { command: /^npm run setup$/, by: "package.json", words: '"test": "node setup/main.mjs' },
  {
    command: /^(mkdir -p ~\/pops|head -c 24|export PULUMI_CONFIG_PASSPHRASE_FILE)/,
    not: "the shell's own, in the reader's home",
  },
  { command: /^npm run local -- down$/, by: "test/e2e/local.test.ts", words: 'it.run("down")' },
  { command: /^npm run local -- down --all$/, by: "test/unit/local/options.test.ts", words: '["down", "--all"]' },
  { command: /^npm run local -- --no-homelab$/, by: "test/e2e/first-page.test.ts", words: 'it.run("--no-homelab")' },
  { command: /^npm run local -- --https-port /, by: "test/e2e/local.test.ts", words: '"--https-port"' },
  { command: /^npm run local -- status --open$/, by: "test/e2e/local.test.ts", words: '["status", "--open"]' },
  { command: /^npm run local -- status/, by: "test/e2e/local.test.ts", words: 'it.flyPops(["status"' },
  { command: /^npm run local -- logs/, by: "test/e2e/local.test.ts", words: 'it.flyPops(["logs", "cdg-1"]' },
  { command: /^npm run local -- --help$/, not: "prints what it takes" },
  {
    command: /^npm run (-s )?(docs|soak|test:slow|sim|image:vm|deploy:summary|preview:summary|bench)\b/,
    not: "named as a script of the project, which is there: a test below",
  },
  { command: /^npm run local$/, by: "test/e2e/local.test.ts", words: "from nothing one command ends in a page" },
  { command: /^npm test$/, by: ".ci/run", words: "npm test" },
  { command: /^npx pulumi stack init (prod|edge)$/, by: "test/support/new-stack.ts", words: '"stack", "init"' },
  {
    command: /^npx pulumi config set --plaintext fly-pops:secretsFile /,
    by: "test/engine/state.test.ts",
    words: '"config", "set", "--plaintext", "fly-pops:secretsFile"',
  },
  {
    command: /^npx pulumi config set --secret /,
    by: "test/engine/state.test.ts",
    words: '"config", "set", "--secret"',
  },
  {
    command: /^npx pulumi preview( --stack (prod|edge))?$/,
    by: "test/engine/validation.test.ts",
    words: '["preview"]',
  },
  {
    command: /^npx pulumi up( --stack (prod|edge)| --yes --skip-preview)?$/,
    by: "test/support/engine.ts",
    words: '"up", "--yes", "--skip-preview"',
  },
  {
    command: /^npx pulumi up( --stack prod)? --refresh( --stack prod)?$/,
    by: "test/engine/workflows.test.ts",
    words: '"up", "--refresh"',
  },
  { command: /^npx pulumi destroy\b/, by: "test/support/slips.ts", words: '["destroy", "--yes"' },
  { command: /^npx pulumi cancel( --stack prod)?$/, by: "test/slow/hosts.test.ts", words: '["cancel", "--yes"]' },
  { command: /^npx pulumi state delete( URN)?$/, by: "test/support/slips.ts", words: '["state", "delete", urn' },
  { command: /^npx pulumi (stack select|config rm fly:token --stack prod)$/, not: "Pulumi's own, and makes no call" },
  { command: /^npx pulumi stack export /, by: "test/engine/state.test.ts", words: '"stack", "export", "--file"' },
  { command: /^export PULUMI_BACKEND_URL=/, by: "test/support/s3.ts", words: "PULUMI_BACKEND_URL" },
  { command: /^npx pulumi stack import /, by: "test/engine/state.test.ts", words: '"stack", "import", "--file"' },
  { command: /--expect-no-changes$/, by: "test/engine/state.test.ts", words: "--expect-no-changes" },
  { command: /^rm prod\.json$/, not: "takes away what a command above has written" },
  { command: /stack rm prod --force --preserve-config$/, by: "test/engine/state.test.ts", words: "--preserve-config" },
  {
    command: /^npx pulumi stack change-secrets-provider passphrase /,
    by: "test/engine/state.test.ts",
    words: '"stack", "change-secrets-provider", "passphrase"',
  },
  { command: /change-secrets-provider 'awskms:/, not: "needs an account and a key at AWS" },
  { command: /^npx pulumi stack output /, by: "test/engine/state.test.ts", words: '"stack", "output", "addresses"' },
  {
    command: /^bao (policy write pop|write auth|read -field|write -f -field)/,
    by: "test/image/vault.test.ts",
    words: "lines.map((line) => vault.shell(line))",
  },
  { command: /^npx fly-pops preflight$/, by: "test/cli/preflight.test.ts", words: 'main, "preflight", "--yes"' },
  { command: /^fly (auth|orgs|tokens) /, not: "needs an account at Fly" },
  {
    command: /^(dig|curl) /,
    not: "needs the reader's own DNS, or a running stack: test/e2e/local.test.ts fetches the same pages",
  },
  { command: /^docker create .*sbom\.json/, by: "test/image/build.test.ts", words: "/usr/share/pop/sbom.json" },
  { command: /^grype /, not: "its list of vulnerabilities comes from the network" },
  { command: /^npm run setup -- --only /, by: "package.json", words: "setup/main.mjs --only npm" },
  { command: /^(lab=\$\(docker ps|docker logs -f \$lab)/, not: "Docker's own, with the homelab's label" },
  { command: /^docker exec \$lab headscale nodes list/, not: "headscale's own, and only looks" },
  { command: /^docker exec \$lab certbot-to-vault /, by: "test/slow/homelab.test.ts", words: '"certbot-to-vault"' },
  {
    command: /^docker exec \$lab process-compose /,
    by: "test/support/process-compose.ts",
    words: '"-u", "/run/process-compose.sock"',
  },
  { command: /^npx fly-pops /, by: "test/cli", words: "" },
  { command: /^npm run -s pulumi -- /, by: "test/e2e/local.test.ts", words: "npm run local" },
];

const coverOf = (line: string) => covers.find(({ command }) => command.test(line));

test("there are commands in README and docs", () => {
  expect(commands.length).toBeGreaterThan(15);
});

/** Commands of Pulumi and npm in tables and texts, once per page: readers copy them as well as those in blocks. */
const named = [
  ...new Map(
    inline.filter(({ line }) => !line.startsWith("npx fly-pops ")).map((it) => [`${it.page} ${it.line}`, it] as const),
  ).values(),
];

test.each([...commands, ...named])("$page: $line", ({ line }) => {
  const cover = coverOf(line);
  expect(cover, "no row in this file says which test runs it, or why none does").toBeDefined();
  if (!cover || "not" in cover) return;
  // The command line has a directory of tests of its own.
  if (cover.by === "test/cli") {
    const [, name = ""] = /^npx fly-pops (\S+)/.exec(line) ?? [];
    expect(read("docs/cli.md")).toContain(`fly-pops ${name}`);
    return;
  }
  expect(read(cover.by)).toContain(cover.words);
});

/** What the command line says of it; nothing is run. A name in capitals stands for a value. */
async function understood(line: string): Promise<string> {
  const { context, said } = cliContext({ env: {}, dir: root, clock: virtualClock() });
  const program = createProgram(context, () => undefined);
  const quiet = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: (text) => context.err(text), writeOut: () => undefined });
    command.action(() => undefined);
    for (const it of command.commands) quiet(it);
  };
  for (const it of program.commands) quiet(it);
  program.exitOverride().configureOutput({ writeErr: (text) => context.err(text), writeOut: () => undefined });
  const words = [...line.matchAll(/'([^']*)'|(\S+)/g)].map(([, quoted, word]) => quoted ?? word ?? "");
  try {
    await program.parseAsync(words.slice(2), { from: "user" });
  } catch (error) {
    if (!/^commander\.(help|version)/.test((error as { code?: string }).code ?? "")) return said.err || String(error);
  }
  return "";
}

const ofOurs = [...commands, ...inline].filter(({ line }) => /^npx fly-pops /.test(line));

test("there are commands of ours in tables and texts", () => {
  expect(inline.length).toBeGreaterThan(30);
});

test.each(ofOurs)("$page: the command line understands $line", async ({ line }) => {
  expect(await understood(line)).toBe("");
});

test.each(["npx fly-pops rekey", "npx fly-pops logs --nope", "npx fly-pops exec", "npx fly-pops replace"])(
  "%s would be found out",
  async (line) => {
    expect(await understood(line)).not.toBe("");
  },
);

test("a token is set only by a user whom fly knows: without a login it prints none, and an empty one would be stored", () => {
  const files = [...pages, "Pulumi.prod.yaml", "cli/commands/init.ts"];
  const lines = files.flatMap((page) =>
    [...read(page).matchAll(/.*fly tokens create .*\| *npx pulumi config set.*/g)].map(([it]) => it),
  );
  expect(lines.length).toBeGreaterThan(2);
  expect(lines.filter((line) => !line.includes("fly auth whoami && fly tokens create"))).toEqual([]);
});

/** Former false sentences and their replacements, with the test that shows the latter is true. */
test.each([
  ["docs/ci.md", "in the order they are taken up", "The order of the others is not fixed", "unit/preview/facts"],
  ["docs/ci.md", "the password of the image's registry is an input", "where the stack file has it", "engine/cli"],
  [
    "docs/state.md",
    "No credential of our kinds lies in it",
    "`fly:token` and the tailnet's keys included",
    "engine/cli",
  ],
  [
    "docs/security.md",
    "no, encrypted in the stack file at most | encrypted, as",
    "from the stack file or as",
    "engine/cli",
  ],
  ["docs/security.md", "with `protect` and `keepVolumes` lifted", "its volume stays unless", "engine/validation"],
  ["docs/security.md", "`npx pulumi config set --secret fly:token` |", "which counts at once", "engine/cli"],
  ["docs/security.md", "there is no rate limit", "Each PoP limits requests per visitor", "unit/image/render/limits"],
  ["docs/applications.md", "SSH is not supported", "For git over SSH add port 22", "image/ports"],
  ["docs/applications.md", "there are no wildcards", "and for wildcards, see", "unit/config/hosts"],
  ["docs/simulation.md", "a fixed range", "Which 1,000 depends on the day", "sim/sim"],
  ["docs/ci.md", "`ci.yml` | pull requests, `main` | `npm test`;", "and `npm run test:slow`", "unit/github/workflows"],
  ["Pulumi.prod.yaml", "its volumes go", "Their volumes stay on Fly", "engine/validation"],
  ["docs/upgrading.md", "npx pulumi new", "npx fly-pops new ../my-edge", "cli/new"],
])("%s: not %j but %j", (page, was, is, by) => {
  const text = read(page).replace(/\s+(# )?/g, " ");
  expect(text).not.toContain(was);
  expect(text).toContain(is);
  expect(existsSync(join(root, "test", `${by}.test.ts`))).toBe(true);
});

test("scripts that the texts name are there", () => {
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/npm run (?:-s )?([a-z][a-z:]*)/g)].map(([, it]) => it),
  );
  expect([...new Set(named)].filter((name) => !(name !== undefined && name in manifest.scripts))).toEqual([]);
});

test.each(pages)("%s: links lead to files and headings that are there", (page) => {
  const slug = (heading: string) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, "")
      .replaceAll(" ", "-");
  const broken = [...read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)].filter(([, path, anchor]) => {
    const target = path ? join(dirname(page), path) : page;
    if (!existsSync(join(root, target))) return true;
    if (anchor === undefined) return false;
    return ![...read(target).matchAll(/^#+ (.+)$/gm)].some(([, heading = ""]) => slug(heading) === anchor);
  });
  expect(broken.map(([link]) => link)).toEqual([]);
});

describe("the runbook", () => {
  const runbook = read("docs/runbook.md");
  const sources = globSync(
    ["{lib,fly,sops,tailnet,providers,components,stack,local,image,setup}/**/*.{ts,mjs,go}", "image/rootfs/**"],
    {
      cwd: root,
    },
  )
    .filter((path) => !path.endsWith("_test.go") && /\.\w+$|libexec/.test(path))
    .flatMap((path) => {
      try {
        return [read(path)];
      } catch {
        return []; // a directory
      }
    })
    .join("\n");

  /** Texts in the second column of tables headed **Says**, and after **Says** in lists; those of other programs are marked. */
  const said = [
    ...[...runbook.matchAll(/^- \*\*Says\*\* (.*)$/gm)].flatMap(([, line = ""]) => [...line.matchAll(/`([^`]+)`/g)]),
    ...runbook.split(/^(?=#)/m).flatMap((section) => {
      const head = /^\|.*\*\*Says\*\*.*$/m.exec(section)?.[0];
      if (head === undefined) return [];
      const column = head.split("|").findIndex((cell) => cell.includes("**Says**"));
      return [...section.matchAll(/^\| (?!---).*$/gm)]
        .map(([row]) => row.split("|")[column] ?? "")
        .filter((cell) => !cell.includes("(the CLI)") && !cell.includes("**Says**"))
        .flatMap((cell) => [...cell.matchAll(/`([^`]+)`/g)]);
    }),
  ].map(([, text = ""]) => text);

  test("quotes many of the sentences", () => {
    expect(said.length).toBeGreaterThan(30);
  });

  test.each([...new Set(said)].filter((text) => !/^(nginx|certificates)$/.test(text)))(
    "says what the code says: %s",
    (text) => {
      expect(sources.includes(text), `no source has "${text}"`).toBe(true);
    },
  );

  test("has a place for every alert", () => {
    const links = [...read("docs/metrics.md").matchAll(/runbook\.md#([\w-]+)/g)];
    expect(links.length).toBeGreaterThan(6);
  });
});

test("docs/grafana.json is what tools/docs/grafana.ts writes", () => {
  expect(readFileSync(dashboardPath, "utf8")).toBe(dashboard());
});

test("the stack of docs/applications.md is one, and every site of it is tried with a real application", () => {
  const tests = globSync("test/soak/applications/*.test.ts", { cwd: root }).map(read).join("\n");
  const hosts = documentedStack().image.sites.map(({ host }) => host);
  expect(hosts.length).toBeGreaterThan(8);
  expect(hosts.filter((host) => !tests.includes(host))).toEqual([]);
});
