import { expect, test } from "vitest";
import type { Behaviour } from "../../local/fly/runners/state-runner.ts";
import { cli, values } from "../support/cli.ts";

const site = { host: "www.example.org", origin: "http://origin.example:8080", cache: { maxAge: "10m" } };
const plain = { host: "api.example.org", origin: "http://origin.example:8080" };

/** Two PoPs that purge, and what they were asked to run. */
async function fleet(exec?: Behaviour["exec"]) {
  const commands: string[][] = [];
  const it = await cli({
    behaviour: {
      exec: (command, ...rest) => {
        commands.push(command);
        return exec?.(command, ...rest) ?? { exitCode: 0, stdout: '{"objects":12,"bytes":3565158}\n', stderr: "" };
      },
    },
  });
  it.config(values({ sites: [site, plain] }));
  await it.deploy();
  return Object.assign(it, { commands });
}

const purging = (...words: string[]) => ["/usr/bin/runas", "nginx", "/usr/bin/pop", "purge", ...words];

test.each([
  [
    ["https://www.example.org/a?b", "https://www.example.org/c"],
    ["https://www.example.org/a?b", "https://www.example.org/c"],
  ],
  [
    ["--site", "www.example.org"],
    ["--site", "www.example.org"],
  ],
  [
    ["--site", "www.example.org", "--path", "/img/*", "--path", "*.css"],
    ["--site", "www.example.org", "--path", "/img/*", "--path", "*.css"],
  ],
  [["--all"], ["--all"]],
])("%j is asked of every PoP as nginx's user; one call for the list, one a PoP", async (argv, words) => {
  await using it = await fleet();
  const { code, out, err, calls } = await it.run(["purge", ...argv]);
  expect({ code, out, err }).toEqual({
    code: 0,
    out: "cdg-1: 12 objects, 3.4 MB\newr-1: 12 objects, 3.4 MB\n",
    err: "",
  });
  expect(it.commands).toEqual([purging(...words), purging(...words)]);
  expect(calls).toHaveLength(3);
});

test("--json says it for programs", async () => {
  await using it = await fleet();
  const { out } = await it.run(["purge", "--all", "--json"]);
  expect(JSON.parse(out)).toEqual({
    pops: ["cdg-1", "ewr-1"].map((pop) => ({ pop, objects: 12, bytes: 3_565_158 })),
  });
});

test("a PoP that is not reached is named, and the others are purged", async () => {
  await using it = await fleet();
  await it.local.call("POST", `/apps/my-edge/machines/${it.machine("ewr-1").id}/stop`);
  await new Promise<void>((resolve) => it.local.clock.after(5_000, resolve));
  const { code, out } = await it.run(["purge", "--all"]);
  expect(code).toBe(3);
  expect(out).toMatch(
    /^cdg-1: 12 objects, 3\.4 MB\newr-1: not purged, not running, machine \S+ is stopped\. .*\nNot purged on ewr-1: purge again once it is healthy\.\n$/,
  );
  const json = await it.run(["purge", "--all", "--json"]);
  expect(json.code).toBe(3);
  expect(JSON.parse(json.out).pops[1]).toEqual({ pop: "ewr-1", reason: expect.stringContaining("is stopped") });
});

test("an image that is older than the command says so", async () => {
  await using it = await fleet(() => ({
    exitCode: 2,
    stdout: "",
    stderr: "pop: purge --all: no such command\nusage:",
  }));
  const { code, out } = await it.run(["purge", "--all"]);
  expect(code).toBe(3);
  expect(out).toContain(
    "cdg-1: not purged, its image is too old and has no pop purge. Deploy a new image: npx pulumi up\n",
  );
});

test("nginx's reason against it is shown", async () => {
  await using it = await fleet(() => ({
    exitCode: 1,
    stdout: "",
    stderr: "pop: purge: nginx answers 400 Bad Request\n",
  }));
  const { code, out } = await it.run(["purge", "--all"]);
  expect(code).toBe(3);
  expect(out).toContain("cdg-1: not purged, pop purge exited with 1: pop: purge: nginx answers 400 Bad Request\n");
});

test.each([
  [[], 2, "purge: expected one of URL..., --site HOST, --all."],
  [["--all", "--site", "www.example.org"], 2, "purge: expected one of URL..., --site HOST, --all."],
  [["https://www.example.org/", "--all"], 2, "purge: expected one of URL..., --site HOST, --all."],
  [["--all", "--path", "/a"], 2, "purge: --path needs --site HOST"],
  [
    ["--site", "www.example.org", "--path", "img/*"],
    2,
    "purge: --path img/* must begin with / or *, or it matches no path.",
  ],
  [["www.example.org/a"], 2, "purge: www.example.org/a is not a URL such as https://www.example.org/page"],
  [["ftp://www.example.org/a"], 2, "purge: ftp://www.example.org/a is not a URL"],
  [["https://me@www.example.org/a"], 2, "is not a URL"],
  [[`https://www.example.org/${"a".repeat(100_000)}`], 2, "purge: the URLs are longer than 100000 bytes together"],
  [["https://ww.example.org/"], 1, "There is no site ww.example.org in the stack file. Did you mean www.example.org?"],
  [
    ["--site", "elsewhere.test"],
    1,
    "There is no site elsewhere.test in the stack file. It has: www.example.org, api.example.org.",
  ],
  [
    ["--site", "api.example.org"],
    1,
    "api.example.org: this site has no cache in the stack file, so nothing is cached for it.",
  ],
])("%.80j is refused before anything is asked", async (argv, code, reason) => {
  await using it = await fleet();
  const ran = await it.run(["purge", ...(argv as string[])]);
  expect(ran).toMatchObject({ code, out: "", calls: [] });
  expect(ran.err).toContain(reason);
});
