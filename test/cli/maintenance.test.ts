import { expect, test } from "vitest";
import type { Behaviour } from "../../local/fly/runners/state-runner.ts";
import { cli, values } from "../support/cli.ts";

/** Two PoPs with a state of their own, as `pop maintenance` and `pop ask health` have it. */
async function fleet(exec?: Behaviour["exec"]) {
  const commands: string[][] = [];
  const closed = new Map<string, Set<string>>();
  const it = await cli({
    behaviour: {
      exec: (command, stdin, instance) => {
        commands.push(command);
        const other = exec?.(command, stdin, instance);
        if (other) return other;
        const hosts = closed.get(String(instance.machineId)) ?? new Set();
        closed.set(String(instance.machineId), hosts);
        const [, verb, state, host = ""] = command;
        if (verb !== "maintenance")
          return { exitCode: 0, stdout: JSON.stringify({ status: "ok", maintenance: [...hosts] }), stderr: "" };
        const changed = hosts.has(host) !== (state === "on");
        if (state === "on") hosts.add(host);
        else hosts.delete(host);
        return { exitCode: 0, stdout: JSON.stringify({ host, maintenance: state === "on", changed }), stderr: "" };
      },
    },
  });
  await it.deploy();
  return Object.assign(it, { commands });
}

test("on and off, in every PoP at once", async () => {
  await using it = await fleet();
  const on = await it.run(["maintenance", "on", "WWW.example.org"]);
  expect(on).toMatchObject({
    code: 0,
    err: "",
    out: "cdg-1: www.example.org is now in maintenance\newr-1: www.example.org is now in maintenance\n",
  });
  const command = ["/usr/bin/pop", "maintenance", "on", "www.example.org"];
  expect(it.commands).toEqual([command, command]);
  expect(on.calls).toHaveLength(3);
});

test("--json says it for programs", async () => {
  await using it = await fleet();
  const { code, out } = await it.run(["maintenance", "on", "www.example.org", "--json"]);
  expect(code).toBe(0);
  expect(JSON.parse(out)).toEqual({
    host: "www.example.org",
    pops: ["cdg-1", "ewr-1"].map((pop) => ({ pop, maintenance: true, changed: true })),
  });
});

test("a site that is passed through has a server of its own for that, and no PoP is asked", async () => {
  await using it = await fleet();
  const git = {
    host: "git.example.org",
    aliases: ["code.example.org"],
    origin: "https://git.tail.example",
    passThrough: true,
  };
  it.config(values({ sites: [{ host: "www.example.org", origin: "http://web:8080" }, git] }));
  const asked = it.commands.length;
  for (const words of [
    ["maintenance", "on", "Code.example.org"],
    ["purge", "--site", "git.example.org"],
  ]) {
    const { code, err } = await it.run(words);
    expect(code).toBe(1);
    expect(err).toContain(" has passThrough, so PoPs neither see its requests nor cache its responses.");
  }
  expect(it.commands).toHaveLength(asked);
});

test("a PoP that is not reached is named", async () => {
  await using it = await fleet();
  await it.local.call("POST", `/apps/my-edge/machines/${it.machine("ewr-1").id}/stop`);
  await new Promise<void>((resolve) => it.local.clock.after(5_000, resolve));
  const { code, out } = await it.run(["maintenance", "on", "www.example.org"]);
  expect(code).toBe(3);
  expect(out).toMatch(
    /^cdg-1: www\.example\.org is now in maintenance\newr-1: not changed, not running, machine \S+ is stopped\./,
  );
});

test("an image that is older than the command says so", async () => {
  await using it = await fleet(() => ({ exitCode: 2, stdout: "", stderr: "pop: maintenance on x: no such command\n" }));
  const { code, out } = await it.run(["maintenance", "off", "www.example.org"]);
  expect(code).toBe(3);
  expect(out).toContain(
    "cdg-1: not changed, its image is too old and has no pop maintenance. Deploy a new image: npx pulumi up",
  );
});

test.each([
  [["on"], 2, "missing required argument 'site'"],
  [["perhaps", "www.example.org"], 2, "Allowed choices are on, off"],
  [["on", "ww.example.org"], 1, "There is no site ww.example.org in the stack file. Did you mean www.example.org?"],
])("maintenance %j is refused before anything is asked", async (argv, code, reason) => {
  await using it = await fleet();
  const ran = await it.run(["maintenance", ...argv]);
  expect(ran).toMatchObject({ code, out: "", calls: [] });
  expect(ran.err).toContain(reason);
});

test("status shows a site in maintenance, and one that only some PoPs serve is a fault", async () => {
  const said = (hosts: string[]) => ({
    exitCode: 0,
    stdout: JSON.stringify({ status: "ok", maintenance: hosts }),
    stderr: "",
  });
  const answers = [["www.example.org"], ["www.example.org"], ["www.example.org"], []];
  await using it = await fleet(() => said(answers.shift() ?? []));
  const all = await it.run(["status", "--json"]);
  const seen = JSON.parse(all.out);
  expect(seen.pops.map((pop: { maintenance: string[] }) => pop.maintenance)).toEqual([
    ["www.example.org"],
    ["www.example.org"],
  ]);
  expect(seen.problems.filter((text: string) => text.includes("maintenance"))).toEqual([]);
  const some = await it.run(["status", "--json"]);
  expect(some.code).toBe(3);
  expect(JSON.parse(some.out).problems).toContainEqual(
    expect.stringMatching(
      /^www\.example\.org: in maintenance on (cdg-1, served by ewr-1|ewr-1, served by cdg-1)\. Make them consistent: npx fly-pops maintenance on\|off www\.example\.org$/,
    ),
  );
  answers.push(["www.example.org"], ["www.example.org"]);
  expect((await it.run(["status"])).out).toContain("in maintenance: www.example.org\n");
});
