/** What setup compiles: what is left out of Go modules, when it is compiled again, and the content of go.mod. */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { leftOut } from "../../../setup/go/left-out.mjs";
import { compilerMemory, goEnvironment } from "../../../setup/go.mjs";
import { cutModule, filesBelow, putOver, withoutCommands, withoutRequirements } from "../../../setup/go-overlay.mjs";
import { isCurrent, isUpToDate, moduleVersion, recordOf, versionIn } from "../../../setup/go-program.mjs";
import { moduleOf, replacedIn, trimmedMod, trimmedSum } from "../../../setup/go-trim.mjs";

const root = join(import.meta.dirname, "../../..");
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "setup-go-"));
});
afterEach(() => rmSync(dir, { recursive: true }));
function write(files: Record<string, string>): string {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text);
  }
  return dir;
}

describe("commands are taken out of a command line", () => {
  const source = [
    "import (",
    '\t"example.org/cli/cmd/pulumi/neo"',
    '\tcmdEnv "example.org/cli/cmd/pulumi/env"',
    '\t"example.org/cli/cmd/pulumi/trace"',
    '\t"example.org/cli/cmd/pulumi/up"',
    ")",
    "\t\tup.NewUpCmd(),",
    "\t\tcmdEnv.NewEnvCmd(login, ws,",
    "\t\t\tnil),",
    "\t\ttrace.NewViewTraceCmd(),",
    "\t\ttrace.NewConvertTraceCmd(),",
    "\t\tneo.NewNeoCmd(),",
    "",
  ].join("\n");

  test("with their imports, and each says in its place that it was", () => {
    const left = withoutCommands(source, { neo: ["neo"], env: ["env"], trace: ["view-trace", "convert-trace"] });
    expect(left).toBe(
      'import (\n\t"example.org/cli/cmd/pulumi/up"\n)\n\t\tup.NewUpCmd(),\n\t\tleftOut("env"),\n\t\tleftOut("view-trace"),\n\t\tleftOut("convert-trace"),\n\t\tleftOut("neo"),\n',
    );
  });

  test.each<[string, Record<string, string[]>, string]>([
    ["is not there any more", { query: ["query"] }, "no package query is imported where commands are made"],
    ["makes more commands", { trace: ["view-trace"] }, "package trace makes other commands than view-trace"],
    ["makes fewer", { neo: ["neo", "neo-chat"] }, "package neo makes other commands than neo, neo-chat"],
  ])("a package that %s after an upgrade is looked at by a person", (_, names, expected) => {
    expect(() => withoutCommands(source, names)).toThrow(expected);
  });

  test("one whose package is needed for more is not taken out", () => {
    expect(() => withoutCommands(`${source}\t_ = neo.Default\n`, { neo: ["neo"] })).toThrow("package neo makes other");
  });
});

describe("files are put over a module's", () => {
  test("in their place, beside them, and instead of them", () => {
    write({ "copy/a.go": "a", "copy/sub/b.go": "b", "copy/sub/c.go": "c" });
    write({ "over/a.go": "ours", "over/sub/new.go": "new", "over/sub/c.go": "" });
    putOver(join(dir, "copy"), join(dir, "over"));
    expect(filesBelow(join(dir, "copy"))).toEqual(["a.go", "sub/b.go", "sub/new.go"]);
    expect(readFileSync(join(dir, "copy/a.go"), "utf8")).toBe("ours");
  });

  test.each([
    ["a directory", { "over/gone/a.go": "a" }, "there is no directory gone to put a.go into"],
    ["a file to leave out", { "over/old.go": "" }, "there is no file old.go to leave out"],
  ])("%s that an upgrade moved is named", (_, over, expected) => {
    write({ "copy/a.go": "a", ...over });
    expect(() => putOver(join(dir, "copy"), join(dir, "over"))).toThrow(expected);
  });

  test("a copy has no tests, no requirements, and of a directory only what is kept", async () => {
    write({
      "m/go.mod": "module example.org/m/v3\n\ngo 1.25.11\n\nrequire example.org/cloud v1.0.0\n",
      "m/a_test.go": "",
      "m/testdata/big": "",
      "m/esc/keep.go": "k",
      "m/esc/go.go": "g",
      "m/esc/sub/x.go": "x",
    });
    const copy = join(dir, "made/here");
    await cutModule({ original: join(dir, "m"), copy, cut: { keep: { esc: ["keep.go"] } }, log: "test-cut" });
    expect(filesBelow(copy)).toEqual(["esc/keep.go", "esc/sub/x.go", "go.mod"]);
    expect(readFileSync(join(copy, "go.mod"), "utf8")).toBe("module example.org/m/v3\n\ngo 1.25.11\n");
    expect(withoutRequirements("module old.example\n")).toBe("module old.example\n\ngo 1.21\n");
  });

  test("all that left-out.mjs names is there", () => {
    for (const { patch, files, instead } of Object.values(leftOut))
      for (const path of [patch, files, instead]) if (path) expect(existsSync(join(root, path)), path).toBe(true);
  });
});

describe("a program is made again when what it is made from changed, and not for anything else", () => {
  const record = {
    link: "-X v=1",
    cuts: { "example.org/a": "1" },
    modules: { "example.org/a": "v1.0.0", "x.org/b": "v2.0.0" },
  };
  const goMod = "require (\n\texample.org/a v1.0.0\n\tx.org/b v2.0.0 // indirect\n\tx.org/other v1.0.0\n)\n";
  const now = { goMod, link: "-X v=1", cuts: { "example.org/a": "1" } };

  test("nothing changed", () => expect(isCurrent(record, now)).toBe(true));
  test.each<[string, Partial<typeof now>, boolean]>([
    ["its own version", { goMod: goMod.replace("a v1.0.0", "a v1.0.1") }, false],
    ["the version of what it has in it", { goMod: goMod.replace("b v2.0.0", "b v2.1.0") }, false],
    ["a module it has in it is gone", { goMod: goMod.replace(/.*x.org\/b.*\n/, "") }, false],
    ["the version of what only another has in it", { goMod: goMod.replace("other v1.0.0", "other v9.0.0") }, true],
    ["what is left out of it", { cuts: { "example.org/a": "2" } }, false],
    ["nothing is left out any more", { cuts: {} as never }, false],
    ["the linker's flags", { link: "-X v=2" }, false],
  ])("%s", (_, change, expected) => expect(isCurrent(record, { ...now, ...change })).toBe(expected));

  test("the vendor's stays, one that was made before it was written down from what does not, nor a half-written record", () => {
    write({
      pulumi: "a program of the vendor's",
      old: "secrets were left out of the Pulumi CLI that fly-pops compiled",
    });
    expect(isUpToDate(join(dir, "pulumi"))).toBe(true);
    expect(isUpToDate(join(dir, "old"))).toBe(false);
    writeFileSync(recordOf(join(dir, "pulumi")), '{"link":');
    expect(isUpToDate(join(dir, "pulumi"))).toBe(false);
    expect(readdirSync(dir).toSorted()).toEqual([".pulumi.made-from.json", "old", "pulumi"]);
  });

  test("one with a record is compared with the current sources", () => {
    const program = join(write({ sops: "made here" }), "sops");
    const module = "github.com/getsops/sops/v3";
    const made = (version: string | undefined) =>
      writeFileSync(recordOf(program), JSON.stringify({ link: "", cuts: {}, modules: { "filippo.io/age": version } }));
    made(moduleVersion("filippo.io/age"));
    expect(isUpToDate(program)).toBe(true);
    expect(isUpToDate(program, "-X other")).toBe(false);
    made("v0.0.1");
    expect(isUpToDate(program)).toBe(false);
    writeFileSync(
      recordOf(program),
      JSON.stringify({ link: "", cuts: { [module]: "another" }, modules: { [module]: moduleVersion(module) } }),
    );
    expect(isUpToDate(program)).toBe(false);
  });
});

describe("Go runs", () => {
  const ours = { GOMODCACHE: /\.cache\/go\/modules$/, GOCACHE: /\.cache\/go\/build$/, GOPATH: /\.cache\/go\/path$/ };
  const reported = Object.fromEntries(Object.entries(ours).map(([name, path]) => [name, expect.stringMatching(path)]));

  test("on Linux with its counts of telemetry beside its caches, and the user's settings where they are", () => {
    const env = goEnvironment({ HOME: "/home/me", GOPROXY: "https://proxy.example" }, "linux");
    expect(env).toMatchObject({ ...reported, CGO_ENABLED: "0", GOPROXY: "https://proxy.example" });
    expect(env.XDG_CONFIG_HOME).toMatch(/\.cache\/go\/config$/);
    expect(env.GOENV).toMatch(/\/\.config\/go\/env$/);
    expect(goEnvironment({ GOENV: "off", XDG_CONFIG_HOME: "/x" }, "linux").GOENV).toBe("off");
    expect(goEnvironment({ XDG_CONFIG_HOME: "/x" }, "linux").GOENV).toBe("/x/go/env");
  });

  test.each([
    ["all of it where there is plenty", 24, 2, { GOGC: "off", GOMEMLIMIT: "4096MiB" }],
    ["down to 1 GiB each", 6, 2, { GOGC: "off", GOMEMLIMIT: "1024MiB" }],
    ["none of it below", 5.99, 2, {}],
    ["each its share of more cores", 24, 15, {}],
  ])("with memory instead of garbage collection: %s", (_, gib, cores, expected) => {
    expect(compilerMemory(gib * 2 ** 30, cores)).toEqual(expected);
  });

  test("with the user's own settings of garbage collection", () => {
    expect(goEnvironment({ GOGC: "50", GOMEMLIMIT: "1GiB" })).toMatchObject({ GOGC: "50", GOMEMLIMIT: "1GiB" });
  });

  test("on macOS with the user's settings in Library, where it finds them by itself", () => {
    const env = goEnvironment({ HOME: "/Users/me" }, "darwin");
    expect(env).toMatchObject({ ...reported, CGO_ENABLED: "0" });
    expect(Object.keys(env)).not.toContain("XDG_CONFIG_HOME");
    expect(Object.keys(env)).not.toContain("GOENV");
  });

  test("what only macOS compiles has its versions and sums too", () => {
    for (const module of ["github.com/ebitengine/purego", "github.com/tklauser/go-sysconf"]) {
      const sums = readFileSync(join(root, "setup/go/go.sum"), "utf8");
      expect(sums).toContain(`${module} ${moduleVersion(module)} h1:`);
    }
  });
});

describe("go.mod and go.sum hold what is compiled, and nothing else", () => {
  const goMod = [
    "module m",
    "",
    "tool x.org/a/cmd/a",
    "",
    "require (",
    "\tx.org/a v1.0.0",
    ")",
    "",
    "require (",
    "\tx.org/cloud v1.0.0 // indirect",
    "\tx.org/b v1.0.0 // indirect",
    ")",
    "",
    "replace x.org/a => ./copies/x.org/a",
    "",
  ].join("\n");

  test("requirements of what is not used go, with a block that is empty then", () => {
    expect(trimmedMod(goMod, new Set(["x.org/a", "x.org/b"]))).toBe(goMod.replace(/.*cloud.*\n/, ""));
    expect(trimmedMod(goMod, new Set(["x.org/a"]))).not.toContain("indirect");
    expect(trimmedMod(goMod, new Set(["x.org/a"]))).not.toMatch(/require \(\n\)/);
  });

  test("sums stay as they were; those of copied modules too, which are checked before they are copied", () => {
    const before = "x.org/a v1.0.0 h1:a=\nx.org/b v1.0.0 h1:b=\nx.org/cloud v1.0.0 h1:c=\n";
    expect(replacedIn(goMod)).toEqual(["x.org/a"]);
    expect(trimmedSum(before, "x.org/b v1.0.0 h1:b=\n", ["x.org/a"])).toBe(
      "x.org/a v1.0.0 h1:a=\nx.org/b v1.0.0 h1:b=\n",
    );
    expect(() => trimmedSum(before, "x.org/b v1.0.0 h1:OTHER=\n", [])).toThrow(
      "these sums were not in go.sum: x.org/b v1.0.0 h1:OTHER=",
    );
  });

  test("a package is of the module with the longest name", () => {
    const both = "require (\n\tx.org/a v1.0.0\n\tx.org/a/cmd v1.0.0\n\tx.org/ab v1.0.0\n)\n";
    expect(moduleOf(both, "x.org/a/cmd/tool")).toBe("x.org/a/cmd");
    expect(moduleOf(both, "x.org/ab/tool")).toBe("x.org/ab");
    expect(moduleOf(both, "y.org/z")).toBeUndefined();
  });

  test("the operator's sops is the one of the PoPs, cut by the same files", () => {
    const ofPops = readFileSync(join(root, "image/pop/go.mod"), "utf8");
    const module = "github.com/getsops/sops/v3";
    expect(moduleVersion(module)).toBe(versionIn(ofPops, module));
    expect(leftOut[module]).toEqual({ files: "image/pop/_sops" });
  });
});
