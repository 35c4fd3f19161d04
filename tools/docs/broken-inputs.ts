/** Writes docs/broken-inputs.md from the tables of the tests that try them: `npm run docs`. A test compares, so that each case on the page is tried. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const brokenInputsPath = new URL("../../docs/broken-inputs.md", import.meta.url);

interface Group {
  /** What reads the input. */
  what: string;
  /** How it reacts. */
  behaviour: string;
  file: string;
  /** Where the table begins: a Go function, or the text of the line on which it begins. */
  from: string;
  /** Cases of the table that are valid. */
  fine?: string[];
}

const lastGood =
  "Exit 1 or 3. The last generation of secrets stays in use. The PoP tries again; health has the reason and the recipient.";

const groups: readonly Group[] = [
  {
    what: "`nginx.conf`, a site",
    behaviour: "Rejected before anything is built.",
    file: "test/unit/image/render/nginx.test.ts",
    from: "const refused",
  },
  {
    what: "The build context, a site's directory",
    behaviour: "Rejected. The context is unchanged.",
    file: "test/unit/image/context.test.ts",
    from: "rejects %s, and leaves the context unchanged",
  },
  {
    what: "The build context, an authority's PEM",
    behaviour: "Rejected. Nothing of it is packed.",
    file: "test/unit/image/context.test.ts",
    from: "rejects as a CA file %s",
  },
  {
    what: "`process-compose.yaml`, dependencies of luggage",
    behaviour: "Rejected before anything is built.",
    file: "test/unit/image/render/process-compose.test.ts",
    from: "rejects a dependency on %s",
  },
  {
    what: "The check stage",
    behaviour: "The build fails with the error of the program's own parser.",
    file: "test/image/build.test.ts",
    from: "the build fails for configuration that its parser rejects",
  },
  {
    what: "`/etc/pop/pop.json`",
    behaviour: "The command ends with the path of the field.",
    file: "image/pop/manifest/manifest_test.go",
    from: "TestManifest",
    fine: ["whole", "a newline after", "an expected component", "luggage"],
  },
  {
    what: "The manifest of secrets",
    behaviour: "Exit 2 with the path of every error. Nothing is set up, and the last generation stays.",
    file: "image/pop/secrets/manifest_test.go",
    from: "TestManifestErrorsHavePaths",
  },
  {
    what: "Encrypted files, the identity, destinations of secrets",
    behaviour: lastGood,
    file: "image/pop/secrets/secrets_test.go",
    from: "TestFaultsLeaveTheLastGeneration",
    fine: ["another format than said"],
  },
  {
    what: "The memory that holds secrets",
    behaviour: lastGood,
    file: "image/pop/secrets/secrets_test.go",
    from: "TestAFullOrReadOnlyMountPointLeavesTheLastGeneration",
  },
  {
    what: "The configuration of `pop certs`",
    behaviour: "Exit 2 with the field. The check stage runs it, so that the build fails.",
    file: "image/pop/certs/config_test.go",
    from: "TestInvalidConfigurations",
    fine: ["a host for all below it", "none"],
  },
  {
    what: "The vault and the connection to it",
    behaviour:
      "The last valid certificates stay in use. The PoP tries again with growing pauses; health has the reason.",
    file: "image/pop/certs/agent_test.go",
    from: "TestFaultsKeepTheLastGoodCertificate",
  },
  {
    what: "The vault's content for a host",
    behaviour: "Reported for that host, which keeps its last valid certificate. The other hosts get theirs.",
    file: "image/pop/certs/agent_test.go",
    from: "TestWhatTheVaultHasAndNginxMustNotGet",
  },
  {
    what: "The clock",
    behaviour: "No certificate is checked against it, and none is replaced. Health reports it.",
    file: "image/pop/certs/agent_test.go",
    from: "TestAClockIn1970JudgesNothing",
  },
  {
    what: "The directory of certificates",
    behaviour: "Reported for the host. nginx serves what it has loaded.",
    file: "image/pop/certs/agent_test.go",
    from: "TestDirectoriesThatCannotBeWrittenTo",
  },
  {
    what: "Key and chain",
    behaviour: "Never written to nginx's directory. The last valid pair stays.",
    file: "image/pop/internal/pair/pair_test.go",
    from: "TestPairsThatAreRefused",
  },
  {
    what: "A certificate that is due at an ACME authority",
    behaviour:
      "No order, or no second one before the pause is over. The last valid pair stays, and health has the reason.",
    file: "image/pop/acme/faults_test.go",
    from: "TestFaultsWithoutAnOrder",
  },
  {
    what: "PEMs on the volume, at boot",
    behaviour: "Moved aside as `.broken`. The PoP signs its own certificate, so that nginx starts.",
    file: "image/pop/selfsigned/selfsigned_test.go",
    from: "TestMovesAsideWhatNginxCannotLoad",
  },
  {
    what: "The PoP's identity",
    behaviour: "Exit 3. It is never overwritten. The PoP has no secrets, and health says so. nginx serves.",
    file: "image/pop/identity/identity_test.go",
    from: "TestABrokenKeyIsRefusedAndLeftAsItIs",
  },
  {
    what: "Status files of luggage, which `pop health` reads",
    behaviour: "Treated as no status: degraded, never failing.",
    file: "image/pop/luggage/luggage_test.go",
    from: "TestABrokenStatusFileIsNoStatus",
  },
  {
    what: "The volume at `/var`, at boot",
    behaviour: "Memory replaces it. Sites are served, and health has the reason.",
    file: "test/image/booting.test.ts",
    from: "a volume that cannot be written to",
  },
  {
    what: "`runas`",
    behaviour: "Exit 125, 126 or 127 with the reason. Nothing runs as root.",
    file: "test/image/runas.test.ts",
    from: 'describe("runas"',
  },
];

/** Names of the cases of a table, in its order. A function without a table is one case. */
function casesOf({ file, from, fine = [] }: Group): string[] {
  const text = readFileSync(join(import.meta.dirname, "../..", file), "utf8");
  const cases = file.endsWith(".go") ? goCases(text, from) : rows(text, from);
  if (cases.length === 0) throw new Error(`${file}: no cases at ${from}.`);
  return cases.filter((name) => !fine.includes(name));
}

/** Keys of the map a Go test ranges over. */
function goCases(text: string, name: string): string[] {
  const [, body] = new RegExp(`^func ${name}\\(.*?\\{\\n(.*?)^\\}`, "ms").exec(text) ?? [];
  if (body === undefined) return [];
  const keys = [...body.matchAll(/^\t\t"([^"]+)": /gm)].map(([, key]) => key ?? "");
  return keys.length > 0 ? keys : [words(name)];
}

/** "TestAClockIn1970JudgesNothing" as words. */
const words = (name: string): string =>
  name
    .replace(/^Test/, "")
    .replaceAll(/([a-z])([A-Z0-9])|(\d)([A-Z])/g, "$1$3 $2$4")
    .replaceAll(/^A([A-Z])/g, "a $1")
    .toLowerCase();

/** First texts of the rows of the table nearest to a line: after it, or, where it is the title of a `test.each`, before it. */
function rows(text: string, from: string): string[] {
  const at = text.indexOf(from);
  if (at < 0) return [];
  const line = text.slice(text.lastIndexOf("\n", at) + 1, at);
  const table = /^\s*\]/.test(line) ? before(text, at) : after(text, at);
  const indent = /\n( +)\[/.exec(table)?.[1] ?? "";
  return [...table.matchAll(new RegExp(`\\n${indent}\\[\\s*"((?:[^"\\\\]|\\\\.)*)"`, "g"))].map(
    ([, name]) => name ?? "",
  );
}

const before = (text: string, at: number): string => text.slice(text.lastIndexOf("test.each([", at), at);

function after(text: string, at: number): string {
  const rest = text.slice(text.indexOf("[\n", at));
  return rest.slice(0, rest.search(/\n\s*\]\)?[;(\s]/) + 1);
}

/** docs/broken-inputs.md as it should be. */
export function brokenInputs(): string {
  const all = groups.map((group) => ({ ...group, cases: casesOf(group) }));
  const count = all.reduce((sum, { cases }) => sum + cases.length, 0);
  const cell = (line: string): string => line.replaceAll("|", "\\|");
  return `# What a broken input leads to

<!-- Written by tools/docs/broken-inputs.ts from the tables of the tests: \`npm run docs\`. -->

${count} inputs that renderers and the helper must not fall over, each tried by a test. None of them is a reboot loop: a PoP that can serve serves what it has,
and \`/healthz\` says what is wrong.

| what meets it | what it does | inputs |
| --- | --- | --- |
${all.map(({ what, behaviour, cases }) => `| ${what} | ${behaviour} | ${cell(cases.join("; "))} |`).join("\n")}
`;
}
