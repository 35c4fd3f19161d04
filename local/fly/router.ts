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

/** First segments that stand for themselves below /v1; every other path belongs to an app. `api`: below /api/v1, which on Fly is another server, as is /graphql. */
const roots = ["api", "apps", "graphql", "orgs", "platform", "tokens"];

export function createRouter(table: RouteTable): Router {
  const entries = Object.entries(table).map(([route, handler]) => {
    const [method = "", path = ""] = route.split(" ");
    const own = path.split("/");
    const segments = roots.includes(own[0] ?? "") ? own : ["apps", ":app", ...own];
    return { route, handler, method, segments };
  });
  return {
    routes: Object.keys(table),
    match(method, path) {
      const [, ...parts] = path.split("/");
      const segments = segmentsOf(parts);
      if (!segments) return undefined;
      for (const entry of entries) {
        if (entry.method !== method || entry.segments.length !== segments.length) continue;
        const params = bind(entry.segments, segments);
        if (params) return { route: entry.route, handler: entry.handler, params };
      }
      return undefined;
    },
  };
}

/** As the table has them: `api` stands for /api/v1, /graphql for itself, everything else is below /v1. */
function segmentsOf(parts: string[]): string[] | undefined {
  if (parts[0] === "api") return parts[1] === "v1" ? ["api", ...parts.slice(2)] : undefined;
  if (parts[0] === "graphql") return parts;
  return parts[0] === "v1" ? parts.slice(1) : undefined;
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
