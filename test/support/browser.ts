/** A headless Chromium: Debian's, or whichever this machine has. Nothing is downloaded by npm for it. */
import { existsSync } from "node:fs";
import puppeteer, { type Browser, type Page } from "puppeteer-core";

const places = [
  process.env.CHROME_PATH,
  "/usr/bin/chromium",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/** Path of the program; undefined when there is none. */
const chromium = places.find((path) => path !== undefined && existsSync(path));

/** Why tests with a browser do not run here; undefined when they do. On CI they must. */
export const noBrowser =
  chromium === undefined && !process.env.CI
    ? "no Chromium: as root on Debian `node setup/main.mjs --only browser` installs it, elsewhere set CHROME_PATH"
    : undefined;

export function openBrowser(): Promise<Browser> {
  if (chromium === undefined) throw new Error("no Chromium on this machine: set CHROME_PATH");
  return puppeteer.launch({
    executablePath: chromium,
    // Its sandbox does not work as root; it opens pages of this project alone.
    args: [...(process.getuid?.() === 0 ? ["--no-sandbox"] : []), "--disable-gpu", "--disable-dev-shm-usage"],
  });
}

/** An empty page, whose own errors are put into `errors`. */
export async function openPage(browser: Browser, errors: string[]): Promise<Page> {
  const page = await browser.newPage();
  page.on("pageerror", (error) => errors.push(String(error)));
  page.on("console", (message) => {
    if (message.type() === "error") errors.push(message.text());
  });
  return page;
}
