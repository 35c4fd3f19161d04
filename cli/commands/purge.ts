/** `purge`: removes what PoPs have stored, on all of them at once: URLs, a site or a part of it, or everything. */
import { z } from "zod";
import { isStoring } from "../../image/render/nginx-cache.ts";
import { partsOf } from "../../image/render/site-parts.ts";
import { answerJson, answerLine, askAll, jsonOf } from "../ask-in.ts";
import { livePops, readFleet } from "../fleet.ts";
import { siteOf } from "../site-of.ts";
import type { Stack } from "../stack.ts";
import { type ExitCode, print, printJson, Refusal, type World } from "../world.ts";

export interface PurgeOptions {
  site?: string;
  path: string[];
  all?: boolean;
  json?: boolean;
}

/** As `pop purge` answers (image/pop/purge). */
const Purged = z.object({ objects: z.number(), bytes: z.number() });

/** For one command line in a PoP. */
const mostBytes = 100_000;

export async function purge(
  world: World,
  stack: Stack,
  urls: readonly string[],
  options: PurgeOptions,
): Promise<ExitCode> {
  const site = options.site === undefined ? undefined : (siteOf(stack, options.site)?.host ?? options.site);
  const chosen = choice(urls, { ...options, ...(site !== undefined && { site }) });
  for (const host of chosen.hosts) refuseUncached(stack, host);
  const fleet = await readFleet(stack);
  if (livePops(fleet).length === 0) throw new Refusal(`${fleet.app} has no machine yet, so nothing is stored.`);
  const answers = await askAll(fleet, ["/usr/bin/runas", "nginx", "/usr/bin/pop", "purge", ...chosen.words], {
    name: "pop purge",
    seconds: 60,
    parse: jsonOf(Purged),
  });
  if (options.json) printJson(world, { pops: answers.map(answerJson) });
  else
    for (const answer of answers) print(world, answerLine(world, answer, { textOf: purgedText, failed: "not purged" }));
  const missed = answers.filter(({ value }) => value === undefined).map(({ pop }) => pop);
  if (missed.length === 0) return 0;
  if (!options.json)
    print(
      world,
      `What ${missed.join(", ")} ${missed.length === 1 ? "has" : "have"} stored is still there: purge again once ${missed.length === 1 ? "it serves" : "they serve"}.`,
    );
  return 3;
}

/** What is handed to `pop purge`, and the sites it is about. */
function choice(urls: readonly string[], { site, path, all }: PurgeOptions): { words: string[]; hosts: string[] } {
  const kinds = [urls.length > 0, site !== undefined, all === true].filter(Boolean).length;
  if (kinds !== 1)
    throw new Refusal(
      "purge: takes one of URL..., --site HOST, --all. As in: npx fly-pops purge https://www.example.org/page",
      {
        code: 2,
      },
    );
  if (path.length > 0 && site === undefined) throw new Refusal("purge: --path goes with --site HOST", { code: 2 });
  const wrong = path.find((it) => !/^[/*]/.test(it));
  if (wrong !== undefined)
    throw new Refusal(`purge: --path ${wrong} begins with neither / nor *, so that no path of a site matches it.`, {
      code: 2,
    });
  if (all) return { words: ["--all"], hosts: [] };
  if (site !== undefined) return { words: ["--site", site, ...path.flatMap((it) => ["--path", it])], hosts: [site] };
  const words = [...urls];
  if (words.join(" ").length > mostBytes)
    throw new Refusal(
      `purge: the URLs are longer than ${mostBytes} bytes together, too much for one call. Purge the site, or a part of it: --site HOST --path '/img/*'`,
      {
        code: 2,
      },
    );
  return { words, hosts: [...new Set(urls.map(hostOf))] };
}

function hostOf(url: string): string {
  // Not every scheme: javascript: and the like are URLs, too.
  const { hostname, username } = (/^https?:\/\//i.test(url) && URL.parse(url)) || { hostname: "", username: "" };
  if (hostname !== "" && username === "") return hostname;
  throw new Refusal(`purge: ${url} is not a URL as https://www.example.org/page`, { code: 2 });
}

function refuseUncached(stack: Stack, host: string): void {
  const site = siteOf(stack, host);
  if (site && !partsOf(site).some(isStoring))
    throw new Refusal(`${host}: this site has no cache in the stack file, so nothing of it is stored.`);
}

const purgedText = ({ objects, bytes }: z.infer<typeof Purged>): string =>
  `${countText(objects)}${objects > 0 ? `, ${sizeText(bytes)}` : ""}`;

const countText = (objects: number): string => (objects === 1 ? "1 object" : `${objects} objects`);

function sizeText(bytes: number): string {
  if (bytes >= 1024 * 1024) return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
  return `${Math.ceil(bytes / 1024)} KB`;
}
