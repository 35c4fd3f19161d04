/** A browser for the test of the status page. Not for `npm run local`, because a user who opens the page has a browser. */

import { existsSync } from "node:fs";
import * as apt from "./apt.mjs";
import { find } from "./run.mjs";

const isThere = () =>
  existsSync(process.env.CHROME_PATH ?? "/nowhere") ||
  ["chromium", "google-chrome"].some((name) => find(name) !== undefined);

export const chromium = {
  title: "Chromium",
  // Where it cannot be installed the rest is tested all the same, and the test that wants it says so.
  ready: () => isThere() || apt.refusal() !== undefined,
  make: (say) => apt.install(["chromium", "fonts-dejavu-core"], { say }),
};
