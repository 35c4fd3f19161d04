/** `dashboard`: the status page of any stack, served only on this machine. It is read-only, and the token stays in this process. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { openInBrowser } from "../../local/commands/open.ts";
import { createPages } from "../../status-page/pages.ts";
import type { Head } from "../../status-page/picture.ts";
import { publicAddresses } from "../addresses.ts";
import { type CliContext, type ExitCode, note, print } from "../context.ts";
import { createFeed } from "../dashboard/feed.ts";
import type { Stack } from "../stack.ts";

export interface DashboardOptions {
  /** Opens the browser. */
  open: boolean;
}

export async function dashboard(context: CliContext, stack: Stack, { open }: DashboardOptions): Promise<ExitCode> {
  const head = await buildHead(stack);
  const pages = createPages({
    picture: () => feed.picture(),
    onWatch: () => feed.watch(),
    clock: context.clock,
  });
  const feed = createFeed(stack, {
    clock: context.clock,
    head,
    secrets: context.secrets,
    changed: () => pages.changed(),
  });
  const server = createServer((request, response) => {
    if (!pages.handle(request, response)) response.writeHead(404).end();
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  print(context, url);
  note(context, "Press Ctrl-C to stop.");
  if (open) openInBrowser(url);
  try {
    await new Promise((_, reject) => {
      if (context.interrupted.aborted) reject(context.interrupted.reason);
      context.interrupted.addEventListener("abort", () => reject(context.interrupted.reason), { once: true });
    });
  } finally {
    pages.close();
    server.close();
    server.closeAllConnections();
  }
  return 0;
}

/** Read once, because addresses do not change. Read first, so that a wrong token is reported here and not on the page. */
async function buildHead(stack: Stack): Promise<Head> {
  const { app } = stack.config();
  const ips = ((await publicAddresses(app, await stack.fly())) ?? []).map(({ ip }) => ip);
  return {
    title: stack.name,
    about: [`app ${app}`, ...(ips.length === 0 ? ["no address"] : ips)],
    problem: null,
    none: "No PoPs yet. Deploy them: npx pulumi up --refresh",
    gone: "The dashboard has stopped. Start it again: npx fly-pops dashboard",
  };
}
