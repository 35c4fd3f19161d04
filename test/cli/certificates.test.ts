import { expect, test } from "vitest";
import { cli, values } from "../support/cli.ts";

const acme = { email: "ada@example.org", terms: "agreed" };
const site = { host: "www.example.org", aliases: ["example.org"], redirect: "https://elsewhere.example.net" };
const letsEncrypt = "https://acme-v02.api.letsencrypt.org/directory";

interface Seen {
  directory?: string;
  issued?: string[];
  problem?: string;
}
type Result = { exitCode: number; stdout: string; stderr: string };

/** Two PoPs unless `replicas` says otherwise, what each answers to a plan, what a renewal in each comes to, and what they were asked to run. */
async function fleet(
  plans: Seen[],
  results: Partial<Result>[] = [],
  certificates: Record<string, unknown> = { acme },
  replicas?: number,
) {
  const commands: string[][] = [];
  const answers = { plan: [...plans], renew: [...results] };
  const it = await cli({
    behaviour: {
      exec: (command) => {
        commands.push(command);
        if (command.includes("--plan")) {
          const plan = answers.plan.shift() ?? {};
          const names = ["www.example.org", "example.org"];
          const stdout = `${JSON.stringify({ names, directory: letsEncrypt, issued: [], ...plan })}\n`;
          return { exitCode: 0, stdout, stderr: "" };
        }
        const stdout = '{"serial":"7F01","notAfter":"2027-02-27T18:00:42Z"}\n';
        return { exitCode: 0, stdout, stderr: "", ...answers.renew.shift() };
      },
    },
  });
  it.config(
    values({
      sites: [site],
      ...(Object.keys(certificates).length > 0 && { certificates }),
      ...(replicas !== undefined && { regions: { cdg: { replicas } } }),
      secretsFile: "./secrets.yaml",
    }),
  );
  await it.deploy();
  return Object.assign(it, { commands });
}

const orders = (commands: string[][]): string[][] => commands.filter((it) => !it.includes("--plan"));
const order = ["/usr/bin/runas", "certs", "/usr/bin/pop", "renew", "www.example.org"];

test("says what it costs, then orders in one PoP after the other as the certificates' user", async () => {
  await using it = await fleet([{ issued: ["2026-11-28T10:00:00Z"] }, {}]);
  const { code, out, err } = await it.run(["certificates", "renew", "example.org", "--yes"]);
  expect({ code, out, err }).toEqual({
    code: 0,
    out: ["cdg-1", "ewr-1"].map((pop) => `${pop}: renewed, until 2027-02-27T18:00:42Z, serial 7F01\n`).join(""),
    err: `2 certificates for www.example.org, example.org, ordered from ${letsEncrypt} by cdg-1, ewr-1.\nLet's Encrypt gives 5 a week for the same names; the PoPs got 1 in the last seven days.\n`,
  });
  expect(orders(it.commands)).toEqual([order, order]);
});

test("--pop orders there alone, and what the others got counts all the same", async () => {
  await using it = await fleet([{}, { issued: ["2026-11-28T10:00:00Z", "2026-11-28T11:00:00Z"] }]);
  const { code, out, err } = await it.run(["certificates", "renew", "www.example.org", "--pop", "cdg-1", "--yes"]);
  expect([code, out]).toEqual([0, "cdg-1: renewed, until 2027-02-27T18:00:42Z, serial 7F01\n"]);
  expect(err).toContain("One certificate for www.example.org, example.org");
  expect(err).toContain("the PoPs got 2 in the last seven days");
  expect(orders(it.commands)).toEqual([order]);
});

test("--json says it for programs", async () => {
  await using it = await fleet([{}, {}], [{ stdout: '{"pending":true}\n' }]);
  const { out } = await it.run(["certificates", "renew", "www.example.org", "--yes", "--json"]);
  expect(JSON.parse(out)).toEqual({
    host: "www.example.org",
    pops: [
      { pop: "cdg-1", pending: true },
      { pop: "ewr-1", serial: "7F01", notAfter: "2027-02-27T18:00:42Z" },
    ],
  });
});

test("an order that takes longer than a command may take is reported", async () => {
  await using it = await fleet([{}, {}], [{ stdout: '{"pending":true}\n' }]);
  const { code, out } = await it.run(["certificates", "renew", "www.example.org", "--pop", "cdg-1", "--yes"]);
  expect([code, out]).toEqual([0, "cdg-1: the order takes longer: npx fly-pops status shows its end\n"]);
});

test("the first failure ends it, as the others would fail alike", async () => {
  const reason = "pop: renew: port 80 of www.example.org (66.241.125.4) does not answer: connection refused";
  await using it = await fleet([{}, {}], [{ exitCode: 1, stdout: "", stderr: `${reason}\n` }]);
  const { code, out, err } = await it.run(["certificates", "renew", "www.example.org", "--yes"]);
  expect([code, out]).toEqual([3, `cdg-1: not renewed, pop renew exited with 1: ${reason}\n`]);
  expect(err).toContain("Nothing was ordered in ewr-1: it would fail for the same reason");
  expect(orders(it.commands)).toEqual([order]);
});

test("a no orders nothing", async () => {
  await using it = await fleet([{}, {}]);
  const { code, err } = await it.run(["certificates", "renew", "www.example.org"], { ask: async () => "n" });
  expect(code).toBe(0);
  expect(err).toContain("Nothing was ordered.");
  expect(orders(it.commands)).toEqual([]);
});

test("without a terminal to ask nothing is ordered", async () => {
  await using it = await fleet([{}, {}]);
  const { code, err } = await it.run(["certificates", "renew", "www.example.org"]);
  expect(code).toBe(1);
  expect(err).toContain("Order them now? Not a terminal, so nothing was done. Pass --yes to confirm.");
  expect(orders(it.commands)).toEqual([]);
});

const day = (n: number): string => `2026-11-2${n}T10:00:00Z`;

test.each<[string, Seen[], string[], string]>([
  [
    "more than Let's Encrypt gives in a week",
    [{ issued: [day(4), day(5)] }, { issued: [day(6), day(7)] }],
    [],
    "www.example.org: Let's Encrypt gives 5 certificates a week for the same names, the PoPs got 4 of them in the last seven days, and this would be 2 more. Nothing was ordered. Choose 1 with --pop, or wait until 2026-12-01T10:00:00.000Z.",
  ],
  [
    "the sixth of a week",
    [{ issued: [day(4), day(5), day(6)] }, { issued: [day(7), day(8)] }],
    ["--pop", "ewr-1"],
    "and this would be 1 more. Nothing was ordered. Wait until 2026-12-01T10:00:00.000Z.",
  ],
  [
    "what a PoP cannot do now",
    [{ problem: "the authority asks for a pause until 2026-11-29T12:00:00Z" }, {}],
    [],
    "cdg-1: the authority asks for a pause until 2026-11-29T12:00:00Z. Nothing was ordered. Leave it out with --pop",
  ],
])("%s is refused before anything is ordered", async (_, plans, argv, reason) => {
  await using it = await fleet(plans);
  const { code, err } = await it.run(["certificates", "renew", "www.example.org", "--yes", ...argv]);
  expect(code).toBe(1);
  expect(err).toContain(reason);
  expect(orders(it.commands)).toEqual([]);
});

test("where PoPs share one is ordered, whatever their number", async () => {
  const seen = { issued: [day(4), day(5)] };
  await using it = await fleet([seen, seen], [], { acme: { ...acme, share: "acmeShare" } });
  const { code, err } = await it.run(["certificates", "renew", "www.example.org", "--yes"]);
  expect(code, err).toBe(0);
  expect(err).toContain(
    `One certificate for www.example.org, example.org, ordered from ${letsEncrypt} by one of cdg-1, ewr-1, which share it.`,
  );
});

test("more than a week gives at all names the time of the next one", async () => {
  await using it = await fleet(
    [{ issued: [day(4), day(5), day(6), day(7), day(8)] }, {}, {}, {}, {}, {}],
    [],
    { acme },
    6,
  );
  const { code, err } = await it.run(["certificates", "renew", "www.example.org", "--yes"]);
  expect(code).toBe(1);
  expect(err).toContain(
    "this would be 6 more. Nothing was ordered. Wait until 2026-12-01T10:00:00.000Z and choose fewer with --pop.",
  );
  expect(orders(it.commands)).toEqual([]);
});

test("of another authority no limit is known, and that is said", async () => {
  const seen = { directory: "https://ca.example.org/dir", issued: [day(4), day(5), day(6)] };
  await using it = await fleet([seen, seen]);
  const { code, err } = await it.run(["certificates", "renew", "www.example.org", "--yes"]);
  expect(code).toBe(0);
  expect(err).toContain("The PoPs got 6 in the last seven days. How many that authority gives is not known here.");
});

test.each<[string, string[], number, string, Record<string, unknown>?]>([
  ["no such site", ["ww.example.org"], 1, "Did you mean www.example.org?"],
  ["no such PoP", ["www.example.org", "--pop", "nrt-1"], 1, "There is no PoP nrt-1."],
  ["no host", [], 2, "missing required argument 'host'"],
  [
    "a site whose certificate PoPs do not order",
    ["www.example.org"],
    1,
    "www.example.org: PoPs do not order this site's certificate, so there is nothing to renew here.",
    {},
  ],
])("%s is refused before anything is asked", async (_, argv, code, reason, certificates) => {
  await using it = await fleet([{}, {}], [], certificates);
  const found = await it.run(["certificates", "renew", ...argv]);
  expect(found.code).toBe(code);
  expect(found.err).toContain(reason);
  expect(it.commands).toEqual([]);
});
