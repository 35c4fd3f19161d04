/** The name server of the private network: what local Fly knows, as names, to the machine that asks. */
import { type Core, networkOfApp } from "../core/core.ts";
import { currentVersion } from "../core/fly-state.ts";
import { isOnNetwork } from "../core/private-network.ts";
import { respond } from "./dns-message.ts";
import { type Answer, type Asker, answer, type Directory } from "./names.ts";

export interface PrivateNames {
  /** What a name has for the machine at an address of the private network; undefined when it is not of that network's names at all. */
  ask(question: { name: string; type: string }, from: string): Answer | undefined;
}

export function createPrivateNames(core: Core): PrivateNames {
  const { staleNamesMs } = core.settings.quirks;
  let late = directoryOf(core);
  if (staleNamesMs > 0)
    core.watchAll(() => {
      const directory = directoryOf(core);
      core.clock.after(staleNamesMs, () => {
        late = directory;
      });
    });
  const names: PrivateNames = {
    ask: (question, from) => answer(question, askerAt(core, from), staleNamesMs > 0 ? late : directoryOf(core)),
  };
  core.runner.onQuestion = (message, { address, tcp }) =>
    respond(message, { tcp }, (question) => names.ask(question, address));
  return names;
}

function directoryOf({ flyState }: Core): Directory {
  const networks = new Map(Object.values(flyState.apps).map((it) => [it.name, it.networkNumber]));
  return {
    apps: [...networks].map(([name, network]) => ({ name, network })),
    machines: Object.values(flyState.machines).flatMap((machine) => {
      const network = networks.get(machine.app);
      if (network === undefined || machine.state === "destroyed") return [];
      const { metadata, dns } = currentVersion(machine).rendered;
      const { id, app, region, privateIp } = machine;
      return [
        {
          id,
          app,
          network,
          region,
          privateIp,
          started: machine.runs !== null,
          registered: (dns as { skip_registration?: unknown } | undefined)?.skip_registration !== true,
          metadata: metadata ?? {},
        },
      ];
    }),
  };
}

/** Two writings of one address are equal once a URL has both. */
const canonical = (address: string): string => new URL(`http://[${address}]`).hostname.slice(1, -1);

/** Every client on one of our networks may ask. The region is known only for machines. */
function askerAt(core: Core, from: string): Asker | undefined {
  const { flyState, settings } = core;
  const address = canonical(from);
  const machine = Object.values(flyState.machines).find(
    (it) => it.state !== "destroyed" && canonical(it.privateIp) === address,
  );
  const app = Object.values(flyState.apps).find((it) =>
    machine ? it.name === machine.app : isOnNetwork(address, networkOfApp(core, it)),
  );
  return app && { network: app.networkNumber, region: machine?.region ?? settings.defaultRegion };
}
