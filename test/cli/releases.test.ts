import { expect, test } from "vitest";
import { cli, values } from "../support/cli.ts";

test("a comparison of no release in particular is not understood, and nothing is asked", async () => {
  await using it = await cli();
  for (const args of [["--diff"], ["--to", "3"]])
    expect(await it.run(["releases", ...args])).toEqual({
      code: 2,
      out: "",
      err: "releases: --diff and --to need a release: npx fly-pops releases NUMBER --diff\n",
      calls: [],
    });
});

test.each([
  ["releases", "zero"],
  ["rollback", "0"],
  ["rollback", "last"],
])("%s %s: a release is a number from 1", async (command, number) => {
  await using it = await cli();
  const { code, err, calls } = await it.run([command, number]);
  expect({ code, calls }).toEqual({ code: 2, calls: [] });
  expect(err).toContain("Expected a whole number from 1 to 1000000.");
});

test("preview of a stack file with mistakes names them, without Pulumi and without a call", async () => {
  await using it = await cli();
  it.config(values({ regions: { cgd: {} } }));
  const { code, out, err, calls } = await it.run(["preview"]);
  expect({ code, out, calls }).toEqual({ code: 1, out: "", calls: [] });
  expect(err).toContain("Pulumi.test.yaml: 1 error in the stack's configuration. Nothing was changed.");
  expect(err).toContain("regions.cgd: no such region; did you mean cdg?");
});
