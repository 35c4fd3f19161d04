import { execFile } from "node:child_process";
import {
  appendFileSync,
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ImageSpec } from "../../image/spec.ts";
import { buildImage } from "../../local/docker-image.ts";
import { Bench, build, docker } from "./support/pop.ts";
import { spec } from "./support/spec.ts";

const bench = new Bench("making");
const run = promisify(execFile);
let image: string;

beforeAll(async () => {
  [image] = await Promise.all([build("all"), bench.sweep()]);
});

afterAll(() => bench.sweep());

const layersOf = async (id: string): Promise<string[]> => (await docker.getImage(id).inspect()).RootFS.Layers ?? [];

/** What each layer holds, lowest first, as `docker save` writes it. */
async function paths(id: string): Promise<{ path: string; folder: boolean }[][]> {
  const folder = mkdtempSync(join(tmpdir(), "fly-pops-image-"));
  try {
    await pipeline(await docker.getImage(id).get(), createWriteStream(join(folder, "image.tar")));
    await run("tar", ["-xf", "image.tar"], { cwd: folder });
    const [{ Layers }] = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")) as [{ Layers: string[] }];
    return await Promise.all(
      Layers.map(async (layer) => {
        const { stdout } = await run("tar", ["-tf", layer], { cwd: folder, maxBuffer: 1 << 24 });
        return stdout
          .trim()
          .split("\n")
          .map((path) => ({ path, folder: path.endsWith("/") }));
      }),
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("the image", () => {
  test("is smaller than 90 MB unpacked, in fewer than 20 layers", async () => {
    const { Size, RootFS } = await docker.getImage(image).inspect();
    expect(Size).toBeLessThan(90e6);
    expect(RootFS.Layers?.length).toBeLessThan(20);
  });

  test("holds no path twice, and no compiler, package manager or secret's place", async () => {
    const files = (await paths(image)).flat().filter(({ folder }) => !folder);
    const all = files.map(({ path }) => path);
    expect(all.filter((path, at) => all.indexOf(path) !== at)).toEqual([]);
    expect(all.filter((path) => /(^|\/)(gcc|go|apt|perl|python3?|\.git|\.env)$|\.wh\./.test(path))).toEqual([]);
    expect(all.filter((path) => /^(var|run|tmp|proc|sys|dev)\/./.test(path))).toEqual([]);
  });

  test("changes in exactly its last layer, and that a small one, when the configuration changes", async () => {
    const changed: ImageSpec = { ...spec, cache: { maxSizeMb: spec.cache.maxSizeMb + 1 } };
    const [before, after] = [await layersOf(image), await layersOf(await build("changed", changed))];
    expect(after.slice(0, -1)).toEqual(before.slice(0, -1));
    expect(after.at(-1)).not.toBe(before.at(-1));
    const history = await docker.getImage(image).history();
    const configuration = history.find(({ Size }: { Size: number }) => Size > 0);
    expect(configuration.Size).toBeLessThan(100_000);
  });

  test("bears no user's secret: its configuration is readable by all, but for shadow", async () => {
    const script = "find /etc /usr/libexec /luggage /srv -type f ! -perm -004";
    expect(await bench.run(image, ["/bin/sh", "-c", script])).toEqual({ code: 0, output: "/etc/shadow\n" });
  });

  test("has nothing that gives its starter another's rights", async () => {
    const script = "find / -xdev -type f '(' -perm -4000 -o -perm -2000 ')'";
    expect(await bench.run(image, ["/bin/sh", "-c", script])).toEqual({ code: 0, output: "" });
  });
});

/** dockerode 5.0 leaves what a build printed in base64. */
function withOutput(error: Error): never {
  throw new Error(
    error.message.replace(/^ {2}([A-Za-z0-9+/]+={0,2})\.?$/gm, (_, line) => Buffer.from(line, "base64").toString()),
  );
}

describe("nothing ships that its own parser refuses", () => {
  test.each([
    ["nginx", "config/etc/nginx/nginx.conf", "\nnonsense on;\n", /unknown directive "nonsense"/],
    ["unbound", "config/etc/unbound/unbound.conf", "\nserver:\n  nonsense: yes\n", /nonsense|syntax error/],
    ["process-compose", "config/etc/process-compose.yaml", "\nnonsense: {}\n", /nonsense/],
    ["pop", "config/etc/pop/pop.json", "\n{", /pop\.json: there is more in it/],
  ])("%s", async (name, file, text, reason) => {
    const broken = build(`broken-${name}`, spec, { alter: (context) => appendFileSync(join(context, file), text) });
    await expect(broken.catch(withOutput)).rejects.toThrow(reason);
  });
});

describe("luggage from another image", () => {
  test("is copied under /luggage, and belongs to root", async () => {
    const folder = mkdtempSync(join(tmpdir(), "fly-pops-luggage-"));
    mkdirSync(join(folder, "etc"));
    writeFileSync(join(folder, "etc/hello"), "hello\n");
    writeFileSync(join(folder, "Dockerfile"), "FROM scratch\nCOPY etc /etc\n");
    const tag = "fly-pops-image-test:luggage";
    await buildImage(docker, { tag, context: folder, files: ["Dockerfile", "etc/hello"], log: () => {} });
    rmSync(folder, { recursive: true });
    const carried = { source: { kind: "image", ref: tag }, command: ["hello"], env: {} } as const;
    const with_ = await build("carrying", {
      ...spec,
      luggage: { ...spec.luggage, other: { ...carried, command: ["hello"] } },
    });
    const { output } = await bench.run(with_, [
      "/bin/sh",
      "-c",
      "cat /luggage/other/etc/hello; stat -c '%U %a %Y' /luggage/other/etc/hello",
    ]);
    expect(output).toBe("hello\nroot 644 1\n");
  });
});

describe("runas", () => {
  const environment = Object.fromEntries(Array.from({ length: 10_000 }, (_, at) => [`V${at}`, "x"]));
  const usage = /usage/i;
  test.each([
    ["no argument", "runas", 125, usage],
    ["no program", "runas nginx", 125, usage],
    ["an unknown option", "runas -x nginx /usr/bin/id", 125, /unknown option -x/],
    ["an unknown user", "runas nobodyknows /usr/bin/id", 125, /no user nobodyknows/],
    ["root", "runas root /usr/bin/id", 125, /root is uid 0/],
    ["a user with group 0", "echo 'zero:x:500:0::/:' >> /etc/passwd; runas zero /usr/bin/id", 125, /gid 0/],
    [
      "a member of root's group",
      "sed -i 's/^root:x:0:/root:x:0:nginx/' /etc/group; runas nginx /usr/bin/id",
      125,
      /group 0/,
    ],
    ["no passwd", "rm /etc/passwd; runas nginx /usr/bin/id", 125, /no user nginx/],
    ["a relative path", "cd /usr/bin; runas nginx ./id", 125, /not an absolute path/],
    ["a program that is not there", "runas nginx /usr/bin/nothing", 127, /cannot execute .*nothing/],
    ["what is no program", "runas nginx /etc/passwd", 126, /cannot execute/],
    ["a name that is none", "runas -e A=B nginx /usr/bin/id", 125, /not the name of a variable/],
    ["the linker's variables", "runas -e LD_PRELOAD nginx /usr/bin/id", 125, /never passed on/],
    [
      "being started by another than root",
      "runas nginx /usr/bin/runas unbound /usr/bin/id",
      125,
      /must be started by root/,
    ],
  ])("refuses %s", async (_, script, code, reason) => {
    const seen = await bench.run(image, ["/bin/sh", "-c", script]);
    expect(seen.code).toBe(code);
    expect(seen.output).toMatch(reason);
  });

  test("becomes the user with its groups, and keeps working without a group file", async () => {
    const id = async (before: string) =>
      (await bench.run(image, ["/bin/sh", "-c", `${before} runas nginx /usr/bin/id`])).output;
    expect(await id("")).toBe("uid=101(nginx) gid=101(nginx) groups=101(nginx)\n");
    expect(await id("sed -i 's/^certs:x:103:/certs:x:103:nginx/' /etc/group;")).toBe(
      "uid=101(nginx) gid=101(nginx) groups=101(nginx),103(certs)\n",
    );
    expect(await id("rm /etc/group;")).toBe("uid=101(nginx) gid=101 groups=101\n");
  });

  test("passes on what it is told to and nothing else, of however many", async () => {
    const { output } = await bench.run(
      image,
      ["/usr/bin/runas", "-e", "V7", "-e", "UNSET", "nginx", "/usr/bin/env"],
      environment,
    );
    expect(output.trim().split("\n").toSorted()).toEqual([
      "HOME=/var/lib/nginx",
      "LOGNAME=nginx",
      "PATH=/usr/bin:/usr/sbin",
      "USER=nginx",
      "V7=x",
    ]);
  });

  test("gives the program's own exit code back", async () => {
    expect((await bench.run(image, ["/usr/bin/runas", "nginx", "/bin/sh", "-c", "exit 3"])).code).toBe(3);
  });
});
