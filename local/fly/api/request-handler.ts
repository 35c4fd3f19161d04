/** Where calls come in: route, credential, fault plan, handler, answer, log; the same way for every one. */

import type { FaultPlan } from "../controls/faults.ts";
import type { Core } from "../core/core.ts";
import { ApiError, Dropped, unauthorized } from "../core/errors.ts";
import { RunnerError } from "../core/runner.ts";
import { createFaultApplier } from "./apply-faults.ts";
import type { CallLog } from "./call-log.ts";
import { createRateLimits } from "./rate-limits.ts";
import type { Replicas } from "./replicas.ts";
import type { ApiRequest, ApiResponse, Call } from "./request.ts";
import type { Match, Router } from "./router.ts";

export interface RequestHandlerParts {
  core: Core;
  router: Router;
  faults: FaultPlan;
  replicas: Replicas;
  calls: CallLog;
  token: string;
}

export function createRequestHandler({ core, router, faults, replicas, calls, token }: RequestHandlerParts) {
  const limits = createRateLimits(core.clock);
  const applyFaults = createFaultApplier({ core, faults, replicas });
  return async function handle(request: ApiRequest): Promise<ApiResponse> {
    const query = new URLSearchParams(request.query ?? {});
    const headers = request.headers ?? {};
    const body = request.body ?? "";
    const requestId = `${core.ids.ulid()}-${core.settings.defaultRegion}`;
    const match = router.match(request.method, request.path);
    const log = (status: number) =>
      calls.add({
        method: request.method,
        route: match?.route,
        path: request.path,
        query: query.toString(),
        body: readable(body),
        status,
        at: core.clock.now(),
      });
    const respond = (status: number, type: string, text: string, extra: Record<string, string> = {}): ApiResponse => {
      log(status);
      const about: Record<string, string> = text === "" ? {} : { "content-type": type };
      return { status, headers: { ...about, "fly-request-id": requestId, ...extra }, body: text };
    };
    const respondJson = (status: number, value: unknown, extra?: Record<string, string>) =>
      respond(status, "application/json; charset=utf-8", JSON.stringify(value) ?? "", extra);

    if (!match) return respond(404, "text/plain; charset=utf-8", "404 page not found\n");
    try {
      if (bare(headers.authorization) !== token) throw unauthorized();
      const waitMs = core.settings.quirks.rateLimits ? limits.ask(match.route, objectOf(match)) : 0;
      if (waitMs > 0)
        return respondJson(429, { error: "rate limit exceeded" }, { "retry-after": String(Math.ceil(waitMs / 1000)) });
      const answer = await applyFaults(match, call(match, query, headers, body));
      core.flush();
      return respondJson(answer.status, answer.json, answer.headers);
    } catch (error) {
      if (error instanceof Dropped) {
        log(0);
        throw error;
      }
      const known = asApiError(error);
      return respondJson(known.httpStatus, known.body);
    }
  };
}

/** What a limit counts by: the machine, for what has none the app. */
const objectOf = ({ params }: Match) => `${params.app ?? ""}/${params.id ?? ""}`;

function call(match: Match, query: URLSearchParams, headers: Call["headers"], body: string): Call {
  return {
    route: match.route,
    query,
    headers,
    body,
    nonce: headers["fly-machine-lease-nonce"] || undefined,
    param(name) {
      const value = match.params[name];
      if (value === undefined) throw new Error(`route ${match.route} has no parameter ${name}`);
      return value;
    },
  };
}

/** Users paste tokens with their scheme, clients add one more. */
function bare(authorization: string | undefined): string | undefined {
  return authorization?.replace(/^(?:\s*(?:Bearer|FlyV1)\s+)+/i, "").trim();
}

function asApiError(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof RunnerError && error.code === "not-running")
    return new ApiError(412, { error: `failed_precondition: ${error.message}` });
  return new ApiError(500, { error: `internal: ${error instanceof Error ? error.message : String(error)}` });
}

/** For the log: JSON where it is some. */
function readable(body: string): unknown {
  if (body === "") return body;
  try {
    return JSON.parse(body);
  } catch {
    return body;
  }
}
