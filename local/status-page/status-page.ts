/** The status page of a running local Fly: what it is drawn from, and who tells when it is new. */

import type { MachineConfig } from "../../fly/wire.ts";
import type { Clock } from "../../lib/clock.ts";
import { createPages, type Pages } from "../../status-page/pages.ts";
import type { Edge } from "../edge/edge.ts";
import { versionOf } from "../fly/core/fly-state.ts";
import type { Runner } from "../fly/core/runner.ts";
import type { LocalFly } from "../fly/create.ts";
import { picture } from "./picture.ts";
import { type Source, TrafficWatch } from "./traffic.ts";

interface Parts {
  fly: Pick<LocalFly, "snapshot" | "watch">;
  runner: Pick<Runner, "dial">;
  edge: Pick<Edge, "counts">;
  /** Region the visitors are in. */
  clientRegion: string;
  clock: Clock;
}

export function statusPage({ fly, runner, edge, clientRegion, clock }: Parts): Pages {
  const traffic = new TrafficWatch(sources, clock);
  const pages = createPages({
    picture: () =>
      picture(fly.snapshot(), {
        now: clock.now(),
        clientRegion,
        counts: edge.counts(),
        traffic: traffic.latest(),
      }),
    onWatch: () => traffic.watch(),
    clock,
  });
  const unwatch = fly.watch(() => pages.changed());

  /** A PoP tells of itself where Fly's Prometheus would ask it. */
  function sources(): Source[] {
    return Object.values(fly.snapshot().machines).flatMap((machine) => {
      if (machine.runs === null) return [];
      const { metrics } = versionOf(machine, machine.runs).rendered as MachineConfig;
      const at = metrics?.port === undefined ? undefined : runner.dial(machine.id, metrics.port);
      return at ? [{ machineId: machine.id, ...at }] : [];
    });
  }

  return {
    ...pages,
    close() {
      unwatch();
      pages.close();
    },
  };
}
