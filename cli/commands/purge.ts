/** `purge`: purges the cache of all PoPs: URLs, a site or part of it, or everything. */
import { z } from "zod";
import { isStoring } from "../../image/render/nginx-cache.ts";
import { partsOf } from "../../image/render/site-parts.ts";
import { type CliContext, CliError, type ExitCode, print, printJson } from "../context.ts";
import { deployedPops, readFleet } from "../fleet.ts";
import { jsonOf, queryAllPops, resultJson, resultLine } from "../pop-query.ts";
import { siteByName } from "../site-by-name.ts";
import type { Stack } from "../stack.ts";

export interface PurgeOptions {
  site?: string;
  path: string[];
  all?: boolean;
  json?: boolean;
}

/** The output of `pop purge` (image/pop/purge). */
const Purged = z.object({ objects: z.number(), bytes: z.number() });

/** Limit of a command line in a PoP. */
const maxArgumentBytes = 100_000;

export async function purge(
  context: CliContext,
  stack: Stack,
  urls: readonly string[],
  options: PurgeOptions,
): Promise<ExitCode> {
  const site = options.site === undefined ? undefined : (siteByName(stack, options.site)?.host ?? options.site);
  const chosen = parseTarget(urls, { ...options, ...(site !== undefined && { site }) });
  for (const host of chosen.hosts) assertCached(stack, host);
  const fleet = await readFleet(stack);
  if (deployedPops(fleet).length === 0) throw new CliError(`${fleet.app} has no machine yet, so nothing is cached.`);
  const answers = await queryAllPops(fleet, ["/usr/bin/runas", "nginx", "/usr/bin/pop", "purge", ...chosen.args], {
    name: "pop purge",
    seconds: 60,
    parse: jsonOf(Purged),
  });
  if (options.json) printJson(context, { pops: answers.map(resultJson) });
  else
    for (const answer of answers)
      print(context, resultLine(context, answer, { textOf: purgedText, failed: "not purged" }));
  const missed = answers.filter(({ value }) => value === undefined).map(({ pop }) => pop);
  if (missed.length === 0) return 0;
  if (!options.json)
    print(
      context,
      `Not purged on ${missed.join(", ")}: purge again once ${missed.length === 1 ? "it is" : "they are"} healthy.`,
    );
  return 3;
}

/** Arguments of `pop purge`, and the sites they are about. */
function parseTarget(urls: readonly string[], { site, path, all }: PurgeOptions): { args: string[]; hosts: string[] } {
  const kinds = [urls.length > 0, site !== undefined, all === true].filter(Boolean).length;
  if (kinds !== 1)
    throw new CliError(
      "purge: expected one of URL..., --site HOST, --all. Example: npx fly-pops purge https://www.example.org/page",
      {
        code: 2,
      },
    );
  if (path.length > 0 && site === undefined) throw new CliError("purge: --path needs --site HOST", { code: 2 });
  const wrong = path.find((it) => !/^[/*]/.test(it));
  if (wrong !== undefined)
    throw new CliError(`purge: --path ${wrong} must begin with / or *, or it matches no path.`, {
      code: 2,
    });
  if (all) return { args: ["--all"], hosts: [] };
  if (site !== undefined) return { args: ["--site", site, ...path.flatMap((it) => ["--path", it])], hosts: [site] };
  const args = [...urls];
  if (args.join(" ").length > maxArgumentBytes)
    throw new CliError(
      `purge: the URLs are longer than ${maxArgumentBytes} bytes together, too much for one call. Purge the site, or a part of it: --site HOST --path '/img/*'`,
      {
        code: 2,
      },
    );
  return { args, hosts: [...new Set(urls.map(hostOf))] };
}

function hostOf(url: string): string {
  // Check the scheme, because javascript: and others are URLs too.
  const { hostname, username } = (/^https?:\/\//i.test(url) && URL.parse(url)) || { hostname: "", username: "" };
  if (hostname !== "" && username === "") return hostname;
  throw new CliError(`purge: ${url} is not a URL such as https://www.example.org/page`, { code: 2 });
}

function assertCached(stack: Stack, host: string): void {
  const site = siteByName(stack, host);
  if (site && !partsOf(site).some(isStoring))
    throw new CliError(`${host}: this site has no cache in the stack file, so nothing is cached for it.`);
}

const purgedText = ({ objects, bytes }: z.infer<typeof Purged>): string =>
  `${countText(objects)}${objects > 0 ? `, ${sizeText(bytes)}` : ""}`;

const countText = (objects: number): string => (objects === 1 ? "1 object" : `${objects} objects`);

function sizeText(bytes: number): string {
  if (bytes >= 1024 * 1024) return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
  return `${Math.ceil(bytes / 1024)} KB`;
}
