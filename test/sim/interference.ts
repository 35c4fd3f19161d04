/** Changes to the objects of a stack by other people and by the platform. */

import { volumeName } from "../../components/placement.ts";
import type { MachineRow } from "../../local/fly/core/fly-state.ts";
import { currentVersion } from "../../local/fly/core/fly-state.ts";
import { liveMachines, liveVolumes, recordDisturbance, type Sim, token } from "./sim.ts";

/** Does one interference. @returns the line for the history */
type Interference = (sim: Sim) => Promise<string>;

/** A call without client and nonce, as a colleague's flyctl would send. */
async function call(sim: Sim, method: string, path: string, body?: unknown): Promise<number> {
  const [plain = "", search] = path.split("?");
  const reply = sim.fly.handle({
    method,
    path: `/v1/apps/${sim.stack.app}/${plain}`,
    ...(search === undefined ? {} : { query: new URLSearchParams(search) }),
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  // A fault may hit this call too.
  return reply.then(
    ({ status }) => status,
    () => 0,
  );
}

const anyPop = (sim: Sim): MachineRow | undefined => {
  const own = liveMachines(sim).filter((it) => currentVersion(it).rendered.metadata?.pops_stack === sim.stack.owner);
  return own.length > 0 ? sim.rng.pick(own) : undefined;
};

const onMachine =
  (
    text: string,
    work: (sim: Sim, machine: MachineRow) => Promise<number | string>,
    what: Parameters<typeof recordDisturbance>[2],
  ): Interference =>
  async (sim) => {
    const machine = anyPop(sim);
    if (!machine) return `${text}: there is no machine`;
    // Recorded even if it is rejected: it may have been applied partially.
    recordDisturbance(sim, machine.name, what);
    const result = await work(sim, machine).catch((error: unknown) => String(error));
    recordDisturbance(sim, machine.name, what);
    return `${text} ${machine.name} (${machine.id}) -> ${result}`;
  };

const verb = (name: string, what: Parameters<typeof recordDisturbance>[2]): Interference =>
  onMachine(name, (sim, { id }) => call(sim, "POST", `machines/${id}/${name}`), what);

export const interferences: Record<string, Interference> = {
  stop: verb("stop", { rest: true }),
  start: verb("start", { rest: true }),
  restart: verb("restart", { rest: true }),
  suspend: verb("suspend", { rest: true }),
  cordon: verb("cordon", { drift: true }),
  changeConfig: onMachine(
    "change the config of",
    (sim, machine) => {
      const { rendered } = currentVersion(machine);
      const config = sim.rng.chance(0.5)
        ? { ...rendered, env: { ...rendered.env, BY_HAND: String(sim.rng.int(1, 9)) } }
        : { ...rendered, guest: { ...rendered.guest, memory_mb: 1024 } };
      return call(sim, "POST", `machines/${machine.id}`, { config });
    },
    { drift: true },
  ),
  destroyMachine: onMachine("destroy", (sim, { id }) => call(sim, "DELETE", `machines/${id}?force=true`), {
    drift: true,
  }),
  extendVolume: onMachine(
    "extend the volume of",
    async (sim, { name }) => {
      const [volume] = liveVolumes(sim, volumeName(name));
      if (!volume) return "no volume";
      return call(sim, "PUT", `volumes/${volume.id}/extend`, { size_gb: volume.sizeGb + 1 });
    },
    { drift: true },
  ),
  destroyMachineAndVolume: onMachine(
    "destroy machine and volume of",
    async (sim, { id, name }) => {
      const [volume] = liveVolumes(sim, volumeName(name));
      const first = await call(sim, "DELETE", `machines/${id}?force=true`);
      // Refused while it is bound; then only the machine is gone.
      const second = volume ? await call(sim, "DELETE", `volumes/${volume.id}`) : "none";
      return `${first}, ${second}`;
    },
    { drift: true },
  ),
  takeLease: onMachine(
    "take the lease of",
    async (sim, { id }) => {
      const seconds = sim.rng.int(10, 200);
      sim.fly.platform.leaseTakenBy(id, "colleague@example.org", seconds);
      return `for ${seconds} s`;
    },
    {},
  ),
  releaseAddress: async (sim) => {
    const row = sim.flyState.addresses.find((it) => it.app === sim.stack.app);
    if (!row) return "release an address: there is none";
    recordDisturbance(sim, row.type, { drift: true });
    return `release address ${row.ip} -> ${await call(sim, "DELETE", `ip_assignments/${encodeURIComponent(row.ip)}`)}`;
  },
};

export const platformEvents: Record<string, Interference> = {
  migrate: onMachine(
    "platform: migrates",
    async (sim, { id }) => `volume is now ${(await sim.fly.platform.migrate(id)).volume}`,
    { drift: true },
  ),
  crash: onMachine(
    "platform: crash of",
    async (sim, { id }) => {
      sim.runner.crash(id, sim.rng.chance(0.3) ? { exitCode: 137, signal: 9, oomKilled: true } : {});
      return "it ended";
    },
    { rest: true },
  ),
  leaseLost: onMachine(
    "platform: loses the lease of",
    async (sim, { id }) => {
      sim.fly.platform.leaseLost(id);
      return "gone";
    },
    {},
  ),
  hostDown: onMachine(
    "platform: host goes down of",
    async (sim, { zone }) => {
      sim.fly.platform.hostDown(zone);
      everyPopOn(sim, zone);
      return zone;
    },
    {},
  ),
  hostUp: async (sim) => {
    const [zone] = sim.flyState.unreachableZones;
    if (zone === undefined) return "platform: every host is up";
    sim.fly.platform.hostUp(zone);
    everyPopOn(sim, zone);
    return `platform: host ${zone} is back`;
  },
  full: async (sim) => {
    const place = sim.rng.pick(sim.stack.pops).region;
    sim.fly.platform.full(place);
    return `platform: no room in ${place}`;
  },
  room: async (sim) => {
    for (const { region } of sim.stack.pops) sim.fly.platform.roomAgain(region);
    return "platform: room again everywhere";
  },
  originDown: async (sim) => {
    sim.originUp = false;
    for (const { name } of liveMachines(sim)) recordDisturbance(sim, name, {});
    return "platform: nothing behind the PoPs answers, no check passes";
  },
  originUp: async (sim) => {
    sim.originUp = true;
    for (const { name } of liveMachines(sim)) recordDisturbance(sim, name, {});
    return "platform: the origin answers again";
  },
  imageRots: async (sim) => {
    const image = sim.stack.image;
    sim.runner.image(image, { pull: "fails" });
    for (const { name } of liveMachines(sim)) recordDisturbance(sim, name, {});
    return `platform: the registry has lost ${image.slice(-4)}`;
  },
};

function everyPopOn(sim: Sim, zone: string): void {
  for (const machine of liveMachines(sim)) if (machine.zone === zone) recordDisturbance(sim, machine.name, {});
}
