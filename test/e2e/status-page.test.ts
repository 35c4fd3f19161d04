/** The status page in a real browser, over local Fly without containers: it needs a Chromium and nothing else. */
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { noBrowser, openBrowser, openPage } from "../support/browser.ts";
import {
  activeClass,
  faintTexts,
  hasScope,
  isHidden,
  keepChanges,
  keptChanges,
  matches,
  moving,
  pageWidth,
  progressOf,
} from "../support/in-page.mjs";
import { type Watched, watched } from "../support/status-page.ts";

// One story: two PoPs, a rolling update of both, then an end of local Fly.
let it: Watched;
let browser: Browser;
let page: Page;
/** Every address the page asked for, and every error of its own. */
const asked: string[] = [];
const errors: string[] = [];

beforeAll(async () => {
  if (noBrowser) return;
  [it, browser] = await Promise.all([watched("cdg"), openBrowser()]);
  await it.pop("cdg-1", { perSecond: 120, hitRate: 0.9, connections: 5 });
  await it.pop("ewr-1", {
    perSecond: 40,
    hitRate: 0.5,
    connections: 2,
    components: { unbound: { status: "degraded", reason: "no answer" } },
  });
  page = await openPage(browser, errors);
  page.on("request", (request) => asked.push(request.url()));
  await page.goto(it.url);
});
afterAll(async () => {
  await browser?.close();
  await it?.close();
});

const text = (selector: string) => page.$eval(selector, (element) => element.textContent ?? "");
const shows = (selector: string, wanted: string) =>
  page.waitForFunction(matches, { timeout: 15_000 }, selector, wanted);
const rows = () =>
  page.$$eval("#rows tr", (all) => all.map((row) => [...row.children].map((cell) => cell.textContent ?? "")));

test.skipIf(noBrowser)(`shows each PoP with its numbers, on the map and in the table ${noBrowser ?? ""}`, async () => {
  await shows("#summary", "^All 2 PoPs serve$");
  await shows("#requests", "^1[56]\\d$"); // 120 and 40 a second
  await shows("#hits", "^(79|80)(\\.\\d)? %$"); // 0.9 of 120 and 0.5 of 40
  expect(await text("#connections")).toBe("7");
  const table = await rows();
  expect(table.map(([name, state, place, checks]) => [name, state, place, checks])).toEqual([
    ["cdg-1", "serving", "Paris (cdg)", "2/2"],
    ["ewr-1", "serving", "Secaucus, New Jersey (ewr)", "2/2"],
  ]);
  expect(table.map((cells) => cells[7])).toEqual(["96 of 256 MB", "96 of 256 MB"]);
  expect(await page.$$eval("#pops text", (all) => all.map((label) => label.textContent))).toEqual(["cdg", "ewr"]);
  expect(await text("#reasons")).toBe("ewr-1 is degraded, unbound: no answer");
  expect(await page.$eval("#rollout", isHidden)).toBe(true);
});

test.skipIf(noBrowser)("asks local Fly alone, and has no error", () => {
  expect([...new Set(asked.filter((url) => !url.startsWith("data:")).map((url) => new URL(url).origin))]).toEqual([
    it.url,
  ]);
  expect(errors).toEqual([]);
});

test.skipIf(noBrowser)("every text has contrast enough, in the light and in the dark", async () => {
  for (const scheme of ["light", "dark"]) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    expect(await page.evaluate(faintTexts), scheme).toEqual([]);
  }
});

test.skipIf(noBrowser)("fits on a phone: only the table scrolls aside", async () => {
  const before = page.viewport();
  await page.setViewport({ width: 390, height: 844 });
  expect(await page.evaluate(pageWidth)).toBe(390);
  await page.setViewport(before);
});

test.skipIf(noBrowser)("nothing moves for who wants no motion", async () => {
  await page.emulateMediaFeatures([{ name: "prefers-reduced-motion", value: "reduce" }]);
  expect(await page.$$eval("*", moving)).toEqual([]);
  await page.emulateMediaFeatures([]);
});

test.skipIf(noBrowser)(
  "has one heading above all, named regions, and a table that the keyboard can scroll",
  async () => {
    const tree = await page.accessibility.snapshot();
    const names = (role: string, node = tree): string[] =>
      node === null || node === undefined
        ? []
        : [
            ...(node.role === role ? [node.name ?? ""] : []),
            ...(node.children ?? []).flatMap((child) => names(role, child)),
          ];
    expect(names("heading")).toEqual(["fly-pops local stack", "PoPs", "Lately"]);
    expect(names("image")).toEqual(["World map with the PoPs"]);
    expect(await page.$$eval("thead th", hasScope)).toBe(true);
    await page.keyboard.press("Tab");
    expect(await page.evaluate(activeClass)).toBe("scroll");
  },
);

test.skipIf(noBrowser)("shows a rolling update while it goes on, and tells it to who does not see", async () => {
  // Said once and gone a moment later: kept as they come.
  await page.evaluate(keepChanges);
  const update = it.rollOut(2, { drainSeconds: 1 });
  await shows("#rollouttext", "1 of 2 serve image \\w{12}");
  expect(await page.$eval("#rollout", isHidden)).toBe(false);
  expect(await page.$eval("#rolloutbar", progressOf)).toEqual([1, 2]);
  await update;
  await shows("#summary", "^All 2 PoPs serve$");
  await page.waitForSelector("#rollout", { timeout: 5_000, hidden: true });
  const reported = await page.evaluate(keptChanges);
  for (const name of ["cdg-1", "ewr-1"]) {
    expect(reported).toContain(`${name} drained`);
    expect(reported).toContain(`${name} serving`);
  }
  expect(await text("#events")).toContain("ewr-1: back in routing");
});

test.skipIf(noBrowser)("says when local Fly is gone, with what to do", async () => {
  await it.close();
  await shows("#summary", "^Local Fly does not answer\\. Start it: npm run local$");
});
