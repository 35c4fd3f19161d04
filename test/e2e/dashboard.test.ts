/** The dashboard of a stack in a real browser, on a phone and on a desk, in the light and in the dark. */
import type { Browser, Page } from "puppeteer-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { noBrowser, openBrowser, openPage } from "../support/browser.ts";
import { type Dashboard, dashboard } from "../support/dashboard.ts";
import { cutOff, faintTexts, isHidden, matches, pageWidth, sharedDots } from "../support/in-page.mjs";

let it: Dashboard;
let browser: Browser;
let page: Page;
const errors: string[] = [];

beforeAll(async () => {
  if (noBrowser) return;
  [it, browser] = await Promise.all([dashboard(), openBrowser()]);
  page = await openPage(browser, errors);
  await page.goto(it.url);
});
afterAll(async () => {
  await browser?.close();
  await it?.[Symbol.asyncDispose]();
});

const text = (selector: string) => page.$eval(selector, (element) => element.textContent ?? "");
const shows = (selector: string, wanted: string) =>
  page.waitForFunction(matches, { timeout: 15_000 }, selector, wanted);

test.skipIf(noBrowser)(
  `shows stack, app and address, states, sites with their certificates ${noBrowser ?? ""}`,
  async () => {
    await shows("#summary", "^3 of 6 PoPs serve$");
    await shows("#requests", "^[1-9]");
    expect(await text("h1")).toBe("fly-pops test");
    expect(await text("#about")).toMatch(/^app my-edge · [\d.]+ · [\da-f:]+$/);
    expect(await page.$$eval("#rows .state", (all) => all.map((state) => state.textContent))).toEqual([
      ...["serving", "serving", "stopped", "serving", "drained", "missing"],
    ]);
    expect(await page.$eval("#sites", isHidden)).toBe(false);
    expect(await text("#siterows tr:nth-child(2)")).toMatch(/^shop\.example\.org.*5 d$/);
    expect(errors).toEqual([]);
  },
);

test.skipIf(noBrowser)("replicas of a region have a dot each", async () => {
  expect(await page.$$eval("#pops .dot", (all) => all.length)).toBe(6);
  expect(await page.evaluate(sharedDots)).toEqual([]);
});

test.skipIf(noBrowser)("events of another day have their date", async () => {
  // The PoPs were created by a clock that is set to the first of January.
  expect(await text("#events time")).toMatch(/^\d+ [A-Z][a-z]{2} \d\d:\d\d:\d\d$/);
});

describe.each([
  ["a phone", 390, 844],
  ["a desk", 1200, 900],
])("on %s", (_, width, height) => {
  test.skipIf(noBrowser).each(["light", "dark"])("every PoP's state can be read, %s", async (scheme) => {
    await page.setViewport({ width, height });
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    expect(await page.evaluate(pageWidth)).toBe(width);
    expect(await page.evaluate(cutOff)).toEqual([]);
    expect(await page.evaluate(faintTexts)).toEqual([]);
  });
});

test.skipIf(noBrowser)("says that it has ended", async () => {
  await it.end();
  await shows("#summary", "^The dashboard has stopped\\. Start it again: npx fly-pops dashboard$");
});
