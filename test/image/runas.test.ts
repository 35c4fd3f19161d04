import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { build, ImageHarness } from "./support/pop.ts";

const harness = new ImageHarness("runas");
let image: string;

beforeAll(async () => {
  [image] = await Promise.all([build("all"), harness.sweep()]);
});

afterAll(() => harness.sweep());

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
    ["a program that does not exist", "runas nginx /usr/bin/nothing", 127, /cannot execute .*nothing/],
    ["a file that is not a program", "runas nginx /etc/passwd", 126, /cannot execute/],
    ["an invalid variable name", "runas -e A=B nginx /usr/bin/id", 125, /not the name of a variable/],
    ["the linker's variables", "runas -e LD_PRELOAD nginx /usr/bin/id", 125, /never passed on/],
    [
      "being started by another than root",
      "runas nginx /usr/bin/runas unbound /usr/bin/id",
      125,
      /must be started by root/,
    ],
  ])("rejects %s", async (_, script, code, reason) => {
    const seen = await harness.run(image, ["/bin/sh", "-c", script]);
    expect(seen.code).toBe(code);
    expect(seen.output).toMatch(reason);
  });

  test("becomes the user with its groups, and keeps working without a group file", async () => {
    const id = async (before: string) =>
      (await harness.run(image, ["/bin/sh", "-c", `${before} runas nginx /usr/bin/id`])).output;
    expect(await id("")).toBe("uid=101(nginx) gid=101(nginx) groups=101(nginx)\n");
    expect(await id("sed -i 's/^certs:x:103:/certs:x:103:nginx/' /etc/group;")).toBe(
      "uid=101(nginx) gid=101(nginx) groups=101(nginx),103(certs)\n",
    );
    expect(await id("rm /etc/group;")).toBe("uid=101(nginx) gid=101 groups=101\n");
  });

  test("passes on only the named variables, of any number", async () => {
    const { output } = await harness.run(
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

  test("with random arguments it neither crashes nor leaves anything as root", async () => {
    const word = fc.oneof(
      fc.constantFrom(
        "-e",
        "-x",
        "--",
        "nginx",
        "root",
        "0",
        "101",
        "",
        "/usr/bin/id",
        "id",
        "-eHOME",
        "-eA",
        "LD_PRELOAD",
      ),
      fc.string({ unit: "binary", maxLength: 300 }).filter((text) => !text.includes("\0")),
    );
    const all = fc.sample(fc.oneof(fc.array(word, { maxLength: 6 }), fc.array(fc.constant("-eA"), { maxLength: 60 })), {
      seed: 20261124,
      numRuns: 300,
    });
    const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
    const tries = all.map(
      (words) => `runas ${words.map(quoted).join(" ")} >/tmp/said 2>&1; echo $? $(grep -ac uid=0 /tmp/said)`,
    );
    const { output } = await harness.run(image, ["/bin/sh", "-c", tries.join("\n")]);
    const lines = output.trim().split("\n");
    expect(lines).toHaveLength(all.length);
    expect(lines.filter((line) => !/^(0|1|125|126|127) 0$/.test(line))).toEqual([]);
    expect(new Set(lines.map((line) => line.split(" ")[0])).size).toBeGreaterThan(1);
  });

  test("returns the program's own exit code", async () => {
    expect((await harness.run(image, ["/usr/bin/runas", "nginx", "/bin/sh", "-c", "exit 3"])).code).toBe(3);
  });
});
