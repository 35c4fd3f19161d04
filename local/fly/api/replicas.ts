/**
 * The API servers that answer: on Fly each keeps a copy of the state and hears of a write by gossip. The one that made it knows at once, the
 * others show what was before for a while. A cookie, `fly_flaps_affinity`, leads a client back to the server that made its last write.
 *
 * Only reads are late. Writes, waits and leases are answered by the machine's host, which knows.
 */
import type { Core } from "../core/core.ts";
import { notFound, unauthorized } from "../core/errors.ts";
import type { AddressRow, AppRow, FlyState, MachineRow, VolumeRow } from "../core/fly-state.ts";
import { type Random, seeded } from "../core/random.ts";
import type { Call, Handler, RouteTable } from "./request.ts";
import type { Match } from "./router.ts";

const affinityCookie = "fly_flaps_affinity";

export interface Replica {
  name: string;
  /** What answers reads of a server that has not heard of everything; made when first needed. */
  reads?: RouteTable;
}

export interface Replicas {
  /** The server that takes this call. */
  choose(headers: Call["headers"]): Replica;
  /** Throws what a server answers that has not heard of the app yet. */
  refuseUnknownApp(replica: Replica, match: Match): void;
  /** What answers a read there. */
  handlerOf(replica: Replica, match: Match): Handler;
  /** Remembers what was before a write, and returns what tells the others' lateness once it succeeded: headers of its answer. */
  writing(replica: Replica, match: Match, query: URLSearchParams): () => Record<string, string>;
  /** Whether this list comes back empty by mistake. */
  forgets(match: Match): boolean;
  /** The server that a cookie names goes away. Its replacement knows no more than the other servers. */
  goes(headers: Call["headers"]): void;
}

type Rows = { apps: AppRow; machines: MachineRow; volumes: VolumeRow; addresses: AddressRow };
type Kind = keyof Rows;

/** What a server shows in place of a row while it has not heard of a write. */
interface Late {
  kind: Kind;
  key: string;
  /** undefined: nothing. */
  before: Rows[Kind] | undefined;
  /** Of an app: only what is below it is late, the app itself is not. */
  belowOnly?: boolean;
  /** A delete: drawn by itself, so that the lateness of all else stays what a seed made it. */
  deleted: boolean;
  at: number;
  /** Whom the write has reached when, by the name of the server. */
  until: Map<string, number>;
}

/** @param readsOf routes over another view of the state, of which only reads are used */
export function createReplicas(core: Core, random: Random, readsOf: (core: Core) => RouteTable): Replicas {
  const { flyState, clock } = core;
  const { replicas: count, staleMs, affinityMs, newAppMs, replicaGoes, emptyLists } = core.settings.quirks;
  /** Lists that came back empty the last time. */
  const forgotten = new Set<string>();
  let made = 0;
  const servers: Replica[] = [];
  const ofDeletes = seeded(core.settings.quirks.seed);
  const join = () => servers.push({ name: `flaps-${++made}` });
  for (let n = 0; n < Math.max(count, 1); n++) join();
  let late: Late[] = [];

  /** Drawn at the first question: a server that came later has not heard of it sooner than others might. */
  function reachedAt(it: Late, server: Replica): number {
    const known = it.until.get(server.name);
    if (known !== undefined) return known;
    // In the order they were written: no server knows of a write before it knows of an earlier one of the same thing.
    const earlier = late.slice(0, late.indexOf(it)).findLast((other) => same(other, it));
    const drawn = it.at + Math.floor((it.deleted ? ofDeletes : random)() * (it.kind === "apps" ? newAppMs : staleMs));
    const until = Math.max(drawn, earlier ? reachedAt(earlier, server) : 0);
    it.until.set(server.name, until);
    return until;
  }
  const same = (a: { kind: Kind; key: string }, b: { kind: Kind; key: string }) => a.kind === b.kind && a.key === b.key;

  function lateAt(replica: Replica): Late[] {
    const now = clock.now();
    late = late.filter((it) => now - it.at < Math.max(staleMs, newAppMs));
    return late.filter((it) => reachedAt(it, replica) > now);
  }

  const named = (headers: Call["headers"]): Replica | undefined => {
    const [name, since = "0"] = (cookieOf(headers) ?? "").split(".");
    return clock.now() - Number(since) < affinityMs ? servers.find((it) => it.name === name) : undefined;
  };

  function goes(headers: Call["headers"]): void {
    const one = named(headers);
    if (!one || servers.length === 1) return;
    servers.splice(servers.indexOf(one), 1);
    join();
  }

  /** The state as one server knows it. Rows are those of the state itself, except for late ones. */
  function view(replica: Replica): Core {
    const overlaid = <K extends "apps" | "machines" | "volumes">(kind: K): FlyState[K] => {
      const mine = lateAt(replica).filter((it) => it.kind === kind && !it.belowOnly);
      if (mine.length === 0) return flyState[kind];
      const rows = { ...flyState[kind] } as Record<string, Rows[K]>;
      // The earliest of several: it has not heard of that one either.
      for (const { key, before } of mine.toReversed()) {
        if (before === undefined) delete rows[key];
        else rows[key] = before as Rows[K];
      }
      return rows as FlyState[K];
    };
    const seen: FlyState = {
      ...flyState,
      get apps() {
        return overlaid("apps");
      },
      get machines() {
        return overlaid("machines");
      },
      get volumes() {
        return overlaid("volumes");
      },
      get addresses() {
        const hidden = new Set(lateAt(replica).flatMap((it) => (it.kind === "addresses" ? [it.key] : [])));
        return flyState.addresses.filter((it) => !hidden.has(addressKey(it)));
      },
      get fullZones() {
        return flyState.fullZones;
      },
      get unreachableZones() {
        return flyState.unreachableZones;
      },
    };
    return { ...core, flyState: seen };
  }

  return {
    goes,
    choose(headers) {
      if (servers.length === 1) return servers[0] as Replica;
      if (replicaGoes > 0 && random() < replicaGoes) goes(headers);
      return named(headers) ?? (servers[Math.floor(random() * servers.length)] as Replica);
    },
    forgets({ route, params }) {
      if (emptyLists === 0 || !lists.has(route)) return false;
      const list = `${route} ${params.app}`;
      if (forgotten.delete(list) || random() >= emptyLists) return false;
      forgotten.add(list);
      return true;
    },
    refuseUnknownApp(replica, { params, route }) {
      const app = params.app;
      if (app === undefined || route === "GET apps/:app" || late.length === 0) return;
      if (!lateAt(replica).some((it) => it.kind === "apps" && it.key === app)) return;
      throw random() < 0.5 ? notFound("app") : unauthorized();
    },
    handlerOf(replica, match) {
      if (late.length === 0 || !match.route.startsWith("GET ") || lateAt(replica).length === 0) return match.handler;
      replica.reads ??= readsOf(view(replica));
      return replica.reads[match.route] ?? match.handler;
    },
    writing(replica, match, query) {
      const deletes = match.route.startsWith("DELETE ");
      if (servers.length === 1 || match.route.startsWith("GET ") || (deletes && !lateDeletes.has(match.route)))
        return () => ({});
      const { id = "" } = match.params;
      const keys = keysOf(flyState);
      const machine = changesMachine(match.route) ? structuredClone(flyState.machines[id]) : undefined;
      const volume = structuredClone(flyState.volumes[id]);
      return () => {
        const before: [Kind, string, Rows[Kind] | undefined][] = [];
        for (const kind of ["apps", "machines", "volumes", "addresses"] as const)
          for (const key of keysOf(flyState)[kind]) if (!keys[kind].has(key)) before.push([kind, key, undefined]);
        if (machine) before.push(["machines", id, match.route === "POST machines/:id" ? replaced(machine) : machine]);
        if (volume) before.push(["volumes", id, volume]);
        for (const [kind, key, row] of before) {
          // The server that makes a write knows everything before it.
          for (const it of late) if (same(it, { kind, key })) it.until.set(replica.name, 0);
          late.push({
            kind,
            key,
            before: row,
            // `?wait=true` is answered when the app can be read everywhere.
            belowOnly: kind === "apps" && query.get("wait") === "true",
            deleted: deletes,
            at: clock.now(),
            until: new Map([[replica.name, 0]]),
          });
        }
        if (deletes) return {};
        const path = match.params.app ?? before.find(([kind]) => kind === "apps")?.[1];
        return path === undefined
          ? {}
          : { "set-cookie": `${affinityCookie}=${replica.name}.${clock.now()}; Path=/v1/apps/${path}; HttpOnly` };
      };
    },
  };

  /** The version before, in one of the states in which live Fly has been seen to show it. */
  function replaced(machine: MachineRow): MachineRow {
    const states = [machine.state, "replacing", "replaced"] as const;
    return { ...machine, state: states[Math.floor(random() * states.length)] as MachineRow["state"] };
  }
}

/** Deletes after which the others go on showing the object as it was. Of all else that is deleted every server hears at once. */
const lateDeletes = new Set(["DELETE machines/:id", "DELETE volumes/:id"]);
const lists = new Set(["GET machines", "GET volumes", "GET ip_assignments"]);

const addressKey = ({ app, ip }: AddressRow) => `${app} ${ip}`;

const keysOf = (flyState: FlyState): Record<Kind, Set<string>> => ({
  apps: new Set(Object.keys(flyState.apps)),
  machines: new Set(Object.keys(flyState.machines)),
  volumes: new Set(Object.keys(flyState.volumes)),
  addresses: new Set(flyState.addresses.map(addressKey)),
});

const changesMachine = (route: string): boolean =>
  /^(POST|PUT|PATCH|DELETE) machines\/:id/.test(route) && !/\/(lease|exec)$/.test(route);

function cookieOf(headers: Call["headers"]): string | undefined {
  for (const pair of (headers.cookie ?? "").split(";")) {
    const [name = "", value] = pair.trim().split("=");
    if (name === affinityCookie) return value;
  }
  return undefined;
}
