import type { Handler, RouteTable } from "./request.ts";

export interface Match {
  /** As in the table, e.g. `POST machines/:id`. */
  route: string;
  handler: Handler;
  params: Record<string, string>;
}

export interface Router {
  match(method: string, path: string): Match | undefined;
  routes: readonly string[];
}

/** First segments that stand for themselves below /v1; every other path there belongs to an app. */
const roots = ["apps", "orgs", "platform", "tokens"];

/** The whole path of a route of the table. On Fly /api/v1 and /graphql are another server's. */
function segmentsOf(path: string): string[] {
  const own = path.split("/");
  const [first = ""] = own;
  if (first === "graphql") return own;
  if (first === "api") return ["api", "v1", ...own.slice(1)];
  return roots.includes(first) ? ["v1", ...own] : ["v1", "apps", ":app", ...own];
}

export function createRouter(table: RouteTable): Router {
  const entries = Object.entries(table).map(([route, handler]) => {
    const [method = "", path = ""] = route.split(" ");
    return { route, handler, method, segments: segmentsOf(path) };
  });
  return {
    routes: Object.keys(table),
    match(method, path) {
      const [, ...segments] = path.split("/");
      for (const entry of entries) {
        if (entry.method !== method || entry.segments.length !== segments.length) continue;
        const params = bind(entry.segments, segments);
        if (params) return { route: entry.route, handler: entry.handler, params };
      }
      return undefined;
    },
  };
}

function bind(pattern: string[], segments: string[]): Record<string, string> | undefined {
  const params: Record<string, string> = {};
  for (const [at, part] of pattern.entries()) {
    const segment = segments[at] ?? "";
    if (part.startsWith(":")) {
      const value = unescaped(segment);
      if (!value) return undefined;
      params[part.slice(1)] = value;
    } else if (part !== segment) return undefined;
  }
  return params;
}

function unescaped(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined; // a lone % in a path matches nothing
  }
}
