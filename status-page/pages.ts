/** The status page over HTTP: three files, and a stream of pictures. It tells what runs and changes nothing, so it asks for no token and knows none. */
import { readFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { isLoopback } from "../lib/loopback.ts";
import { landPath, size } from "./map.ts";
import type { Picture } from "./picture.ts";

export interface Pages {
  /** Answers what is the page's, and says whether it was. */
  handle(request: IncomingMessage, response: ServerResponse): boolean;
  /** Something is new: everybody who looks gets it, soon. */
  changed(): void;
  close(): void;
}

interface PagesOptions {
  picture: () => Picture;
  /** Called when a page is opened; the returned function when it is closed. */
  onWatch: () => () => void;
  clock: Clock;
}

/** Numbers change all the time, so there is a picture each second; after a change of the world at once, but not for each of a burst. */
const everyMs = 1_000;
const burstMs = 100;

/** Nothing from elsewhere, nothing inline, in no other page's frame. */
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; frame-ancestors 'none'";

export function createPages({ picture, onWatch, clock }: PagesOptions): Pages {
  // Read once, because the daemon is restarted after a change of the code.
  const read = (name: string) => readFileSync(join(import.meta.dirname, name), "utf8");
  const files = new Map([
    ["/", { type: "text/html", text: withMap(read("page.html")) }],
    ["/page.css", { type: "text/css", text: read("page.css") }],
    ["/page.mjs", { type: "text/javascript", text: read("page.mjs") }],
  ]);
  const watchers = new Set<ServerResponse>();
  let cancelTick = () => {};
  let cancelBurst = () => {};
  let burst = false;

  const send = (to: Iterable<ServerResponse>) => {
    const text = `data: ${JSON.stringify(picture())}\n\n`;
    for (const response of to) response.write(text);
  };
  const tick = () => {
    cancelTick = clock.after(everyMs, () => {
      send(watchers);
      tick();
    });
  };

  function stream(response: ServerResponse): void {
    response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store", ...security });
    response.write("retry: 1000\n\n");
    const end = onWatch();
    watchers.add(response);
    if (watchers.size === 1) tick();
    response.on("close", () => {
      watchers.delete(response);
      if (watchers.size === 0) cancelTick();
      end();
    });
    send([response]);
  }

  return {
    handle(request, response) {
      // Cut, not parsed: as a URL "//" has no host, and would throw where nothing catches.
      const [pathname = "/"] = (request.url ?? "/").split("?");
      const file = files.get(pathname);
      if (!file && pathname !== "/events") return false;
      // Another site's page may make a browser ask here under a name of its own (DNS rebinding); it is to read nothing.
      if (!isLoopback(request.headers.host ?? "")) response.writeHead(421, security).end();
      else if (request.method !== "GET") response.writeHead(405, { allow: "GET", ...security }).end();
      else if (file)
        response
          .writeHead(200, { "content-type": `${file.type}; charset=utf-8`, "cache-control": "no-cache", ...security })
          .end(file.text);
      else stream(response);
      return true;
    },
    changed() {
      if (burst || watchers.size === 0) return;
      burst = true;
      cancelBurst = clock.after(burstMs, () => {
        burst = false;
        send(watchers);
      });
    },
    close() {
      cancelTick();
      cancelBurst();
      for (const response of watchers) response.end();
    },
  };
}

const security = {
  "content-security-policy": policy,
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
};

const withMap = (html: string): string =>
  html.replace("0 0 1000 460", `0 0 ${size.width} ${size.height}`).replace('d=""', `d="${landPath()}"`);
