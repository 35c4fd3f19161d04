import { expect, test } from "vitest";
import { type Cli, cli, values } from "../support/cli.ts";

/** `pop block` and its like, as image/pop/block/block.go has them: what is blocked, by machine. */
async function popsThatBlock(regions: object = { cdg: {}, ewr: {} }): Promise<{ it: Cli; commands: string[] }> {
  const commands: string[] = [];
  const blocks = new Map<string, Map<string, number>>();
  const it = await cli({
    behaviour: {
      exec: (command) => {
        commands.push(command.join(" "));
        return { exitCode: 1, stdout: "", stderr: "" };
      },
    },
  });
  it.config(values({ regions }));
  await it.deploy();
  const names = Object.keys(regions).map((region) => `${region}-1`);
  for (const name of names) {
    const own = new Map<string, number>();
    blocks.set(name, own);
    it.local.runner.machine(it.machine(name).id, {
      exec: ([program = "", ...words]) => {
        commands.push([program, ...words].join(" "));
        const [what, ...rest] = words;
        const seconds = Number(rest[1]);
        if (what === "block")
          for (const address of rest.slice(2)) own.set(address, it.local.clock.now() / 1000 + seconds);
        if (what === "unblock") for (const address of rest[0] === "--all" ? [...own.keys()] : rest) own.delete(address);
        const list = [...own].map(([address, until]) => ({ address, until: Math.floor(until) }));
        return { exitCode: 0, stdout: `${JSON.stringify(list)}\n`, stderr: "" };
      },
    });
  }
  return { it, commands };
}

test("block asks every PoP at once, by one call each, and says until when", async () => {
  const { it: context, commands } = await popsThatBlock();
  await using it = context;
  const { code, out, err, calls } = await it.run(["block", "203.0.113.7", "2001:DB8::1", "--for", "1h", "--json"]);
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const until = expect.stringMatching(/^\d{4}-\d\d-\d\dT/);
  expect(JSON.parse(out)).toEqual({
    blocked: [
      { address: "203.0.113.7/32", until, pops: ["cdg-1", "ewr-1"] },
      { address: "2001:db8::/64", until, pops: ["cdg-1", "ewr-1"] },
    ],
    unreached: [],
  });
  const [first] = JSON.parse(out).blocked;
  expect(Math.abs(Date.parse(first.until) - it.local.clock.now() - 3_600_000)).toBeLessThan(60_000);
  expect(commands).toEqual(Array(2).fill("/usr/bin/pop block --for 3600 203.0.113.7/32 2001:db8::/64"));
  expect(calls.filter((call) => call.endsWith("/exec"))).toHaveLength(2);
});

test("blocked and unblock show what is blocked where", async () => {
  const { it: context } = await popsThatBlock();
  await using it = context;
  await it.run(["block", "203.0.113.7", "198.51.100.9/24"]);
  const { out } = await it.run(["blocked"]);
  expect(out).toMatch(
    /^address +blocked until +PoPs\n203\.0\.113\.7\/32 +\d{4}-\d\d-\d\d \d\d:\d\d UTC +cdg-1 ewr-1\n198\.51\.100\.0\/24 /,
  );
  expect((await it.run(["unblock", "198.51.100.0/24"])).out).not.toContain("198.51.100");
  expect(await it.run(["unblock", "--all"])).toMatchObject({ code: 0, out: "No address is blocked now.\n" });
  expect(await it.run(["blocked"])).toMatchObject({ code: 0, out: "No address is blocked.\n" });
});

test("a PoP that is not reached is named with its reason, the others block, and the exit code says so", async () => {
  const { it: context } = await popsThatBlock({ cdg: {}, ewr: {}, fra: {} });
  await using it = context;
  const { id } = it.machine("cdg-1");
  await it.local.call("POST", `/apps/my-edge/machines/${id}/stop`);
  await it.local.call("GET", `/apps/my-edge/machines/${id}/wait?state=stopped`);
  it.local.runner.machine(it.machine("ewr-1").id, {
    exec: () => ({ exitCode: 2, stdout: "", stderr: "pop: block: no such command\nusage:" }),
  });
  const { code, out } = await it.run(["block", "203.0.113.7"]);
  expect(code).toBe(3);
  expect(out).toMatch(/203\.0\.113\.7\/32 .* fra-1\n/);
  expect(out).toContain("cdg-1: not reached, not running, machine");
  expect(out).toContain(
    "ewr-1: not reached, its image is too old and has no pop block. Deploy a new image: npx pulumi up\n",
  );
  expect(out).toContain("Run the command again when they are back");
});

test.each([
  [
    ["block", "home"],
    'block: "home" cannot be blocked: expected an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
  ],
  [
    ["block", "203.0.113.7/33"],
    'block: "203.0.113.7/33" cannot be blocked: expected an address or a network, as in 203.0.113.7 or 2001:db8::/32.',
  ],
  [["block", "0.0.0.0/0"], "block: 0.0.0.0/0 is too large. The largest network that can be blocked is a /8."],
  [["block", "::/0"], "block: ::/0 is too large. The largest network that can be blocked is a /16."],
  [["block", "203.0.113.7", "--for", "soon"], "a duration from 1s to 365d"],
  [["block", "203.0.113.7", "--for", "0"], "a duration from 1s to 365d"],
  [["block", "203.0.113.7", "--for", "2y"], "a duration from 1s to 365d"],
  [["unblock"], "unblock: expected addresses, or --all for all blocked addresses."],
  [["unblock", "203.0.113.7", "--all"], "unblock: expected addresses, or --all"],
])("%j is refused, and no PoP is asked", async (words, sentence) => {
  const { it: context, commands } = await popsThatBlock({ cdg: {} });
  await using it = context;
  const { code, err } = await it.run(words);
  expect(err).toContain(sentence);
  expect(code).toBe(2);
  expect(commands).toEqual([]);
});
