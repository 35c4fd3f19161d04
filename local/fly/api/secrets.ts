/** App secrets. Setting one touches no machine: the next create or update of one sees it. */

import { createHash } from "node:crypto";
import { z } from "zod";
import { byKey } from "../../../lib/order.ts";
import type { Core } from "../core/core.ts";
import { invalidArgument, notFound } from "../core/errors.ts";
import { type AppRow, rfc3339, secretsAt, secretsVersion } from "../core/fly-state.ts";
import { appOf, bodyOf, bodyWithNullsOf, type Call, json, type RouteTable } from "./request.ts";

const namePattern = /^[A-Za-z_][A-Za-z0-9_]*$/;
const SetMany = z.looseObject({ values: z.record(z.string(), z.string().nullable()) });
const SetOne = z.looseObject({ value: z.string() });

export function secretRoutes(core: Core): RouteTable {
  const set = (app: AppRow, values: Record<string, string | null>) => {
    for (const name of Object.keys(values))
      if (!namePattern.test(name))
        throw invalidArgument(`secret name ${JSON.stringify(name)} is not an environment variable name`);
    const version = secretsVersion(app) + 1;
    for (const [name, value] of Object.entries(values))
      app.secrets.push({ version, name, value, at: core.clock.now() });
    core.changed();
  };
  const list = (app: AppRow, show = false) =>
    Object.entries(secretsAt(app, secretsVersion(app)))
      .sort(byKey)
      .map(([name, value]) => {
        const changes = app.secrets.filter((it) => it.name === name);
        return {
          name,
          digest: digest(name, value),
          created_at: rfc3339(changes[0]?.at ?? 0),
          updated_at: rfc3339(changes.at(-1)?.at ?? 0),
          ...(show ? { value } : {}),
        };
      });
  const one = (app: AppRow, name: string, show: boolean) => {
    const found = list(app, show).find((it) => it.name === name);
    if (!found) throw notFound("secret");
    return found;
  };
  const shows = (call: Call) => call.query.get("show_secrets") === "true";

  return {
    "GET secrets": (call) => json(200, { secrets: list(appOf(core, call), shows(call)) }),
    "POST secrets": (call) => {
      const app = appOf(core, call);
      set(app, bodyWithNullsOf(call, SetMany).values);
      return json(200, { secrets: list(app), version: secretsVersion(app), Version: secretsVersion(app) });
    },
    "GET secrets/:name": (call) => json(200, one(appOf(core, call), call.param("name"), shows(call))),
    "POST secrets/:name": (call) => {
      const app = appOf(core, call);
      set(app, { [call.param("name")]: bodyOf(call, SetOne).value });
      const version = secretsVersion(app);
      return json(201, { ...one(app, call.param("name"), false), version, Version: version });
    },
    "DELETE secrets/:name": (call) => {
      const app = appOf(core, call);
      one(app, call.param("name"), false);
      set(app, { [call.param("name")]: null });
      return json(200, { version: secretsVersion(app), Version: secretsVersion(app) });
    },
  };
}

/** Fly documents no algorithm: clients may only compare an old digest with a new one. */
const digest = (name: string, value: string) =>
  createHash("sha256").update(`${name}\0${value}`).digest("hex").slice(0, 16);
