import { createHash } from "node:crypto";
import type { Access, ImageSpec, NetworkList } from "../spec.ts";
import { isAgent, parseNetwork } from "./networks.ts";
import { block } from "./nginx-block.ts";
import { exceptErrorPages } from "./nginx-pages.ts";
import { accessOf, partsOf } from "./site-parts.ts";
import { escapeRegExp } from "./validators.ts";

/**
 * Who may use a site or a port: https://nginx.org/en/docs/http/ngx_http_geo_module.html. Checked before anything else of the site, redirects included, by the
 * address that Fly's proxy reports and by the visitor's User-Agent. Variables are named after their content, so sites with the same lists share them.
 */

/** Path in the image of one of the user's lists, which holds lines of a geo block. */
export const networkListFile = (file: string): string => `etc/nginx/lists/${digest(file)}.conf`;

/** Content of such a file. */
export const networkListText = (networks: string[]): string => networks.map((it) => `${it} 1;\n`).join("");

/** Files of networks that sites and ports name, each once, with the start of error messages about it. */
export function networkLists({
  sites,
  ports = [],
  passThrough = [],
}: Pick<ImageSpec, "sites" | "ports" | "passThrough">): { file: string; what: string }[] {
  const holders = [
    ...sites.flatMap(partsOf).map((part) => ({ access: accessOf(part), what: `site ${part.host}` })),
    ...passThrough.map(({ access, host }) => ({ access, what: `site ${host}` })),
    ...ports.map(({ access, port }) => ({ access, what: `ports.${port}` })),
  ];
  const all = holders.flatMap(({ access, what }) =>
    (["allow", "deny"] as const).flatMap((key) =>
      (access?.[key]?.files ?? []).map((file) => ({ file, what: `${what}: access.${key}: ${file}` })),
    ),
  );
  return all.filter(({ file }, at) => all.findIndex((it) => it.file === file) === at);
}

/** Directives for all sites: one variable for each rule, not empty for requests that are denied. */
export function accessMaps(all: Access[]): string[] {
  if (all.length === 0) return [];
  return [...new Set([challengeMap, ...all.flatMap((it) => accessRule(it, "$is_no_challenge"))])];
}

/** The same for the `stream` block, where only the address is known. */
export const streamAccessMaps = (all: StreamAccess[]): string[] => [
  ...new Set(all.flatMap((it) => accessRule(it, "1"))),
];

type StreamAccess = Omit<Access, "agents">;

/** Directive of a raw TCP server. */
export const streamAccess = (access: StreamAccess): string => `pop_denied ${deniedVariable(access)};`;

/** Directives of a location. `return` is the only directive that is safe inside its `if`. */
export const locationAccess = (access: Access): string[] => [block(`if (${deniedVariable(access)})`, ["return 403;"])];

/** Directives of a server. They let error pages pass: nginx runs them again for its internal redirect to the page. */
export const serverAccess = (access: Access): string[] => [
  `set $asked "${deniedVariable(access)} $uri";`,
  block(`if ($asked ~ "^1 ${exceptErrorPages}")`, ["return 403;"]),
];

/**
 * ACME challenges are answered for everybody, because CAs do not publish the addresses they validate from. Compares the path as it was sent, not as nginx
 * decodes it: the origin could take another spelling for another path.
 */
export const challengeMap = `map $request_uri $is_no_challenge { "~^/\\.well-known/acme-challenge/[A-Za-z0-9_-]+$" ""; default 1; }`;

/** @param deniedValue value of the variable for visitors who are denied */
function accessRule(access: Access, deniedValue: string): string[] {
  const { allow, deny, agents = [] } = access;
  const parts = [
    ...(allow ? [{ variable: listVariable(allow), admits: 1, made: listGeo(allow) }] : []),
    ...(deny ? [{ variable: listVariable(deny), admits: 0, made: listGeo(deny) }] : []),
    ...(agents.length > 0 ? [{ variable: agentVariable(agents), admits: 0, made: agentMap(agents) }] : []),
  ];
  return [
    ...parts.map(({ made }) => made),
    `map "${parts.map(({ variable }) => variable).join("")}" ${deniedVariable(access)} { ${parts.map(({ admits }) => admits).join("")} ""; default ${deniedValue}; }`,
  ];
}

const listGeo = (it: NetworkList): string =>
  block(`geo ${listVariable(it)}`, [
    "default 0;",
    ...it.networks.map((text) => `${normalizedNetwork(text)} 1;`),
    ...it.files.map((file) => `include /${networkListFile(file)};`),
  ]);

const agentMap = (agents: string[]): string =>
  `map $http_user_agent ${agentVariable(agents)} { "~*(?:${agents.map(agent).join("|")})" 1; default 0; }`;

function normalizedNetwork(text: string): string {
  if (parseNetwork(text) !== text) throw new Error(`access: ${JSON.stringify(text)} is not a network.`);
  return text;
}

function agent(text: string): string {
  if (!isAgent(text)) throw new Error(`access.agents: ${JSON.stringify(text)} cannot be part of a User-Agent.`);
  return escapeRegExp(text);
}

const listVariable = ({ networks, files }: NetworkList): string => `$listed_${digest(networks, files)}`;
const agentVariable = (agents: string[]): string => `$agent_${digest(agents)}`;
const deniedVariable = ({ allow, deny, agents }: Access): string =>
  `$denied_${digest(allow?.networks, allow?.files, deny?.networks, deny?.files, agents)}`;

const digest = (...values: unknown[]): string =>
  createHash("sha256").update(JSON.stringify(values)).digest("hex").slice(0, 16);
