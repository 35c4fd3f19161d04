import { appendFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ImageSpec } from "../../image/spec.ts";
import { buildImage } from "../../local/docker/image.ts";
import { duplicates, layersOf, paths } from "./support/layers.ts";
import { build, docker, ImageHarness } from "./support/pop.ts";
import { laden, spec } from "./support/spec.ts";

const harness = new ImageHarness("build");
let image: string;

beforeAll(async () => {
  [image] = await Promise.all([build("all"), harness.sweep()]);
});

afterAll(() => harness.sweep());

describe("the image", () => {
  test("is smaller than 140 MB unpacked, in fewer than 20 layers", async () => {
    const { Size, RootFS } = await docker.getImage(image).inspect();
    expect(Size).toBeLessThan(140e6);
    expect(RootFS.Layers?.length).toBeLessThan(20);
  });

  test("has no path twice, and no compiler, package manager or secret", async () => {
    const layers = await paths(image);
    expect(duplicates(layers)).toEqual([]);
    const all = layers.flat().flatMap(({ path, isDir }) => (isDir ? [] : [path]));
    expect(all.filter((path) => /(^|\/)(gcc|go|apt|perl|python3?|\.git|\.env)$/.test(path))).toEqual([]);
    expect(all.filter((path) => /^(var|run|tmp|proc|sys|dev)\/./.test(path))).toEqual([]);
  });

  test("changes only in its last, small layer when the configuration changes", async () => {
    const changed: ImageSpec = { ...spec, cache: { ...spec.cache, maxSizeMb: spec.cache.maxSizeMb + 1 } };
    const [before, after] = [await layersOf(image), await layersOf(await build("changed", changed))];
    expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
    expect(after.at(-1)).not.toBe(before.at(-1));
    const history = await docker.getImage(image).history();
    const configuration = history.find(({ Size }: { Size: number }) => Size > 0);
    // 35 sites of all kinds and 24 rules.
    expect(configuration.Size).toBeLessThan(150_000);
  });

  test("has no secret of a user: everything but shadow is world-readable", async () => {
    const script = "find /etc /usr/libexec /luggage /srv -type f ! -perm -004";
    expect(await harness.run(image, ["/bin/sh", "-c", script])).toEqual({ code: 0, output: "/etc/shadow\n" });
  });

  test("has no setuid or setgid files", async () => {
    const script = "find / -xdev -type f '(' -perm -4000 -o -perm -2000 ')'";
    expect(await harness.run(image, ["/bin/sh", "-c", script])).toEqual({ code: 0, output: "" });
  });
});

interface Component {
  name: string;
  version?: string;
  purl?: string;
  licenses?: { license: { name: string } }[];
  externalReferences?: { type: string; url: string }[];
  properties?: { name: string; value: string }[];
  components?: Component[];
}

describe("the bill of materials", () => {
  const read = async (of: string) => {
    const { output } = await harness.run(of, ["/bin/cat", "/usr/share/pop/sbom.json"]);
    return {
      text: output,
      ...(JSON.parse(output) as { bomFormat: string; specVersion: string; components: Component[] }),
    };
  };
  /** Files of the image in the layers below the user's own. */
  const programsOf = async (of: string): Promise<string[]> => {
    const layers = await paths(of);
    const own = layers.findIndex((files) => files.some(({ path }) => path === "usr/share/pop/sbom.json"));
    return layers
      .slice(0, own)
      .flatMap((files) => files.filter(({ isDir: dir }) => !dir).map(({ path }) => `/${path}`));
  };
  const filesIn = ({ components }: { components: Component[] }): string[] =>
    components.flatMap(({ properties = [] }) =>
      properties.flatMap(({ name, value }) => (name === "fly-pops:file" ? [value] : [])),
    );

  test.each([
    ["as it is by default", () => image],
    ["with every optional layer", () => build("laden", laden())],
  ])("of the image %s names every program file in it once, and no others", async (_, of) => {
    const id = await of();
    const bill = await read(id);
    expect([bill.bomFormat, bill.specVersion]).toEqual(["CycloneDX", "1.6"]);
    expect(bill.text.length).toBeLessThan(200_000);
    const links = (await harness.run(id, ["/bin/sh", "-c", "find / -xdev -type l"])).output.split("\n");
    const there = (await programsOf(id)).filter((path) => !links.includes(path));
    expect(filesIn(bill).toSorted()).toEqual(there.toSorted());
  });

  test("has the versions that run", async () => {
    const { components } = await read(await build("laden", laden()));
    const version = (name: string) => components.find((it) => it.name === name)?.version;
    const said = async (command: string) =>
      (await harness.run(await build("laden", laden()), ["/bin/sh", "-c", command])).output;
    expect(await said("process-compose version -s 2>/dev/null")).toBe(`${version("process-compose")}\n`);
    expect(`v${(await said("tailscale version")).split("\n")[0]}`).toBe(version("tailscaled"));
    expect(await said("nginx -v")).toContain(`nginx/${version("nginx")?.split("-")[0]}`);
    expect(await said("unbound -V")).toContain(`Version ${version("unbound")?.split("-")[0]}`);
  });

  test("has the source of each Debian package, and the licence of nearly every component", async () => {
    const { components } = await read(image);
    const debian = components.filter(({ purl }) => purl?.startsWith("pkg:deb/debian/"));
    expect(debian.length).toBeGreaterThan(15);
    for (const { externalReferences = [] } of debian)
      expect(externalReferences[0]?.url).toMatch(/^https:\/\/snapshot\.debian\.org\/package\/[^/]+\/[^/]+\/$/);
    expect(components.find(({ name }) => name === "libc6")?.externalReferences?.[0]?.url).toContain("/package/glibc/");
    // Three of Debian's copyright files are prose.
    const mute = components
      .flatMap((it) => [it, ...(it.components ?? [])])
      .filter(({ licenses, purl }) => purl && !licenses);
    expect(mute.map(({ name }) => name)).toEqual(["busybox-static", "libcrypt1", "libpython3.13"]);
  });
});

describe("optional layers", () => {
  let full: string;

  beforeAll(async () => {
    full = await build("laden", laden());
  });

  test("have no path twice, are far fewer than 20, and are missing from the image without them", async () => {
    expect(duplicates(await paths(full))).toEqual([]);
    expect((await layersOf(full)).length).toBeLessThan(15);
    const bare = (await paths(image)).flat().map(({ path }) => path);
    expect(bare.filter((path) => /(^|\/)(tailscaled?|sshd|curl|strace)$/.test(path))).toEqual(["usr/libexec/pop/sshd"]);
  });

  test.each([
    ["curl --version", /^curl 8/],
    ["dig -v", /^DiG 9/],
    ["strace -V", /^strace -- version/],
    ["tcpdump --version", /tcpdump version/],
    ["jq --version", /^jq-/],
    ["lsof -v", /lsof version/],
    ["openssl version", /^OpenSSL 3/],
    ["tailscale version", /^1\.102\.3$/m],
    ["/usr/libexec/pop/post-init >/dev/null; sshd -t && echo fine", /^fine$/m],
  ])("%s runs", async (command, said) => {
    expect((await harness.run(full, ["/bin/sh", "-c", command])).output).toMatch(said);
  });
});

/** dockerode 5.0 leaves the output of a build in base64. */
function withOutput(error: Error): never {
  throw new Error(
    error.message.replace(/^ {2}([A-Za-z0-9+/]+={0,2})\.?$/gm, (_, line) => Buffer.from(line, "base64").toString()),
  );
}

test("the Go programs' own tests pass, their code is formatted, and vet finds nothing", async () => {
  await build("vetted", spec, { target: "vetted" }).catch(withOutput);
});

describe("the build fails for configuration that its parser rejects", () => {
  test.each([
    ["nginx", "config/etc/nginx/nginx.conf", "\nnonsense on;\n", /unknown directive "nonsense"/],
    ["unbound", "config/etc/unbound/unbound.conf", "\nserver:\n  nonsense: yes\n", /nonsense|syntax error/],
    ["process-compose", "config/etc/process-compose.yaml", "\nnonsense: {}\n", /nonsense/],
    ["pop", "config/etc/pop/pop.json", "\n{", /pop\.json: expected one object, but there is more/],
  ])("%s", async (name, file, text, reason) => {
    const broken = build(`broken-${name}`, spec, { alter: (context) => appendFileSync(join(context, file), text) });
    await expect(broken.catch(withOutput)).rejects.toThrow(reason);
  });
});

describe("a patch beside a program's version", () => {
  const patched = (line: string): string =>
    [
      "--- a/src/cmd/version.go",
      "+++ b/src/cmd/version.go",
      "@@ -23 +23 @@",
      `-\t${line}`,
      '+\tfmt.Println("patched")',
      "",
    ].join("\n");
  const withPatch = (name: string, line: string): Promise<string> =>
    build(name, spec, {
      alter: (context) => {
        const dir = join(context, "programs/process-compose/patches");
        mkdirSync(dir, { recursive: true });
        writeFileSync(join(dir, "version.patch"), patched(line));
      },
    });

  test("changes the program but not its version", async () => {
    const image = await withPatch("patched", 'fmt.Println("Process Compose")');
    const { output } = await harness.run(image, ["/bin/sh", "-c", "process-compose version 2>/dev/null"]);
    expect(output).toMatch(/^patched\nVersion: +v1\.103\.0$/m);
  });

  test("that no longer fits fails the build", async () => {
    const refused = withPatch("misfit", 'fmt.Println("something else")');
    await expect(refused.catch(withOutput)).rejects.toThrow(/version\.patch does not fit github\.com\/f1bonacc1/);
  });
});

describe("luggage from another image", () => {
  test("is copied under /luggage, and belongs to root", async () => {
    const dir = mkdtempSync(join(tmpdir(), "fly-pops-luggage-"));
    mkdirSync(join(dir, "etc"));
    writeFileSync(join(dir, "etc/hello"), "hello\n");
    writeFileSync(join(dir, "Dockerfile"), "FROM scratch\nCOPY etc /etc\n");
    const tag = "fly-pops-image-test:luggage";
    await buildImage(docker, { tag, context: dir, files: ["Dockerfile", "etc/hello"], log: () => {} });
    rmSync(dir, { recursive: true });
    const carried = { source: { kind: "image", ref: tag }, command: ["hello"], env: {} } as const;
    const with_ = await build("carrying", {
      ...spec,
      luggage: { ...spec.luggage, other: { ...carried, command: ["hello"] } },
    });
    const { output } = await harness.run(with_, [
      "/bin/sh",
      "-c",
      "cat /luggage/other/etc/hello; stat -c '%U %a %Y' /luggage/other/etc/hello",
    ]);
    expect(output).toBe("hello\nroot 644 1\n");
  });
});
