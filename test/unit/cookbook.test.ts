/** Every recipe of docs/cookbook.md is a stack file by itself, and all of them are one together. test/image/cookbook.test.ts serves them. */
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { allSites } from "../../image/render/hosts.ts";
import { nginxConf } from "../../image/render/nginx.ts";
import { recipes, stackOf } from "../support/cookbook.ts";

const all = recipes();

test("there are more than twenty", () => {
  expect(all.length).toBeGreaterThan(20);
});

describe.each(all)("$title", (recipe) => {
  test("is a stack file, and rendered", () => {
    const { image } = stackOf([recipe]);
    expect(allSites(image).map(({ host }) => host)).toEqual(recipe.keys.sites.map(({ host }) => host));
    expect(nginxConf(image)).toContain(`server_name ${recipe.keys.sites[0]?.host};`);
  });

  test("has two sentences of why", () => {
    // A dot or colon within `code` ends no sentence.
    const plain = recipe.text.replaceAll(/`[^`]*`/g, "code").replaceAll(/\s+/g, " ");
    expect(plain.split(/(?<=\.) (?=[A-Z])/)).toHaveLength(2);
  });

  test("is served in a test", () => {
    const tests = readFileSync(new URL("../image/cookbook.test.ts", import.meta.url), "utf8");
    expect(recipe.keys.sites.filter(({ host }) => !tests.includes(`"${host}"`))).toEqual([]);
  });
});

test("all of them are one stack", () => {
  expect(allSites(stackOf(all).image).length).toBeGreaterThan(all.length);
});
