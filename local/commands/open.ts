/** `npm run local -- status --open`: opens the status page in the browser. */
import { spawn } from "node:child_process";
import { readDaemon } from "../daemon-file.ts";

/** What opens an address on each system. */
const openers: Partial<Record<NodeJS.Platform, string[]>> = {
  darwin: ["open"],
  linux: ["xdg-open"],
};

export async function openStatusPage(): Promise<void> {
  const daemon = await readDaemon();
  if (!daemon) throw new Error("The local stack is not running. Start it: npm run local");
  // Always printed: a machine without a screen has no browser, and an operator on SSH uses another one.
  console.log(`${daemon.api}/`);
  openInBrowser(`${daemon.api}/`);
}

/** Where there is a browser; elsewhere nothing happens. */
export function openInBrowser(url: string): void {
  const [program, ...args] = openers[process.platform] ?? [];
  if (program === undefined) return;
  const child = spawn(program, [...args, url], { detached: true, stdio: "ignore" });
  child.on("error", () => {}); // there is no browser, but the address is printed above
  child.unref();
}
