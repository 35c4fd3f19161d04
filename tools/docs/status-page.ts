/**
 * Takes the pictures of docs/status-page.md: `node tools/docs/status-page.ts`, with a Chromium. A local stack in the middle of a rolling update, and the
 * dashboard of a stack on which several things are wrong.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Page } from "puppeteer-core";
import { optionsOf, runScript } from "../../setup/options.mjs";
import { openBrowser } from "../../test/support/browser.ts";
import { dashboard } from "../../test/support/dashboard.ts";
import { type Load, watched } from "../../test/support/status-page.ts";

const fleet: Record<string, Load> = {
  "cdg-1": { perSecond: 212, hitRate: 0.94, connections: 38, memoryMb: 118 },
  "ewr-1": { perSecond: 96, hitRate: 0.91, connections: 17, memoryMb: 104 },
  "ewr-2": { perSecond: 91, hitRate: 0.92, connections: 15, memoryMb: 102 },
  "fra-1": {
    perSecond: 143,
    hitRate: 0.95,
    connections: 24,
    memoryMb: 111,
    components: { tailnet: { status: "degraded", reason: "no contact with the tailnet's control server" } },
  },
  "gru-1": { perSecond: 21, hitRate: 0.88, connections: 4, memoryMb: 92 },
  "lax-1": { perSecond: 64, hitRate: 0.9, connections: 11, memoryMb: 98 },
  "sin-1": { perSecond: 33, hitRate: 0.89, connections: 6, memoryMb: 95 },
  "syd-1": { perSecond: 12, hitRate: 0.83, connections: 2, memoryMb: 90 },
};

await runScript("docs/status-page", async (args) => {
  optionsOf(args, {});
  const it = await watched("cdg");
  const browser = await openBrowser();
  try {
    await Promise.all(Object.entries(fleet).map(([name, load]) => it.pop(name, load)));
    const page = await browser.newPage();
    await page.setViewport({ width: 1200, height: 900, deviceScaleFactor: 1 });
    await page.goto(it.url);
    await sleep(6_000);
    const update = it.rollOut(2, { drainSeconds: 2 });
    await sleep(9_000);
    await photograph(page, "status-page");
    await update;
    await using other = await dashboard();
    await page.goto(other.url);
    await sleep(8_000);
    await photograph(page, "dashboard");
    await page.setViewport({ width: 390, height: 844, deviceScaleFactor: 1 });
    await page.reload();
    await sleep(8_000);
    await photograph(page, "dashboard-phone");
  } finally {
    await browser.close();
    await it.close();
  }
});

async function photograph(page: Page, name: string): Promise<void> {
  for (const scheme of ["light", "dark"] as const) {
    await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
    await page.screenshot({
      path: new URL(`../../docs/${name}-${scheme}.png`, import.meta.url).pathname as `${string}.png`,
      fullPage: true,
    });
  }
}
