import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { cli } from "../support/cli.ts";

const flags = ["--app", "example-edge", "--regions", "cdg, ewr", "--host", "www.example.org"];
const origin = ["--origin", "https://web.tail.example:8443"];

test("from flags alone: a stack file the program takes, and what comes next", async () => {
  await using it = await cli();
  const { code, out, err, calls } = await it.run(["init", ...flags, ...origin]);
  expect({ code, out, calls }).toEqual({ code: 0, out: "", calls: [] });
  expect(err).toMatch(
    /^Pulumi\.prod\.yaml was written\. Next, .*:\n {2}npx pulumi stack init prod\n {2}fly auth whoami && fly tokens create org personal --expiry 8760h \| npx pulumi config set --secret fly:token --stack prod\n/,
  );
  expect(parse(readFileSync(join(it.dir, "Pulumi.prod.yaml"), "utf8"))).toEqual({
    config: {
      "fly-pops:app": "example-edge",
      "fly-pops:organization": "personal",
      "fly-pops:regions": { cdg: {}, ewr: {} },
      "fly-pops:sites": [
        {
          host: "www.example.org",
          origin: "https://web.tail.example:8443",
          cache: {},
        },
      ],
      "fly-pops:rollout": { canary: "cdg", maxUnavailable: 1 },
    },
  });
  const cost = await it.run(["cost", "--stack", "prod", "--json"]);
  expect(cost.code).toBe(0);
});

test("on a terminal the rest is asked; an empty answer takes what is offered, or is asked again", async () => {
  await using it = await cli();
  const answers = ["edge2", "my-edge", "", "cdg", "", "www.example.org", "https://web.tail.example"];
  const asked: string[] = [];
  const { code } = await it.run(["init"], {
    ask: async (question) => {
      asked.push(question);
      return answers.shift() ?? "";
    },
  });
  expect(code).toBe(0);
  expect(asked[0]).toBe("Name of the stack (prod): ");
  expect(asked.filter((question) => question.startsWith("First site"))).toHaveLength(2);
  const { config } = parse(readFileSync(join(it.dir, "Pulumi.edge2.yaml"), "utf8"));
  expect(config).toMatchObject({ "fly-pops:organization": "personal", "fly-pops:regions": { cdg: {} } });
  expect(config).not.toHaveProperty("fly-pops:rollout");
});

test("beside the example that a clone brings another name is offered, and a name that is taken is said before anything else is asked", async () => {
  await using it = await cli();
  writeFileSync(join(it.dir, "Pulumi.prod.yaml"), "config: {}\n");
  const { code, err } = await it.run(["init", ...flags, ...origin]);
  expect({ code, err }).toEqual({ code: 0, err: expect.stringMatching(/^Pulumi\.prod-edge\.yaml was written\./) });
});

test("each answer is checked as it is given: what is wrong is said, asked again, and nothing is thrown away", async () => {
  await using it = await cli();
  writeFileSync(join(it.dir, "Pulumi.prod.yaml"), "config: {}\n");
  const answers = [
    "prod",
    "../x",
    "edge",
    "My_Edge",
    "my-edge",
    "",
    "paris",
    "cdg,ewr",
    "www.example.org",
    "ftp://x",
    "https://web.tail.example",
  ];
  const asked: string[] = [];
  const { code, err } = await it.run(["init"], {
    ask: async (question) => {
      asked.push(question.split(/[ ,]/)[0] ?? "");
      return answers.shift() ?? "";
    },
  });
  expect({ code, left: answers }).toEqual({ code: 0, left: [] });
  expect(asked).toEqual(["Name", "Name", "Name", "Fly", "Fly", "Fly", "Regions", "Regions", "First", "Where", "Where"]);
  for (const sentence of [
    "Pulumi.prod.yaml exists already. Edit it, or choose another name for the stack.",
    '"../x" is not a valid stack name',
    'app is "My_Edge": expected lower-case letters',
    "did you mean cdg?",
    'sites[0].origin is "ftp://x": expected http or https',
  ])
    expect(err).toContain(sentence);
  const { config } = parse(readFileSync(join(it.dir, "Pulumi.edge.yaml"), "utf8"));
  expect(config).toMatchObject({ "fly-pops:app": "my-edge", "fly-pops:regions": { cdg: {}, ewr: {} } });
});

test.each([
  [
    ["init", "--app", "a"],
    2,
    "init: --regions, --host, --origin missing, and this is not a terminal that can ask for them. Nothing was written.\n",
  ],
  [
    ["init", "--stack", "test", ...flags, ...origin],
    1,
    "init: --stack: Pulumi.test.yaml exists already. Edit it, or choose another name for the stack.\nNothing was written.\n",
  ],
  [["init", "--stack", "../x", ...flags, ...origin], 1, '"../x" is not a valid stack name'],
  [
    ["init", ...flags, "--origin", "ftp://x"],
    1,
    'init: --origin: sites[0].origin is "ftp://x": expected http or https',
  ],
  [["init", "--app", "a", "--regions", "paris", "--host", "www.example.org", ...origin], 1, "did you mean cdg?"],
])("%j is refused, and nothing is written", async (argv, code, sentence) => {
  await using it = await cli();
  const ran = await it.run(argv);
  expect({ code: ran.code, calls: ran.calls }).toEqual({ code, calls: [] });
  expect(ran.err).toContain(sentence);
  expect(existsSync(join(it.dir, "Pulumi.prod.yaml"))).toBe(false);
});
