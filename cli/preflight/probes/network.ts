/** What a program in the machine sees: the private network, the volume. */
import { probe, resultOf } from "../assumption.ts";
import { mountPath } from "../machine.ts";
import { seconds } from "../text.ts";

const growMs = 10_000;
const namesMs = 10_000;

export const networkProbe = probe({
  title: "inside the machine",
  assumptions: {
    "exec-answers": {
      says: "`POST …/exec` runs a program in a machine and answers with its output and exit code.",
      restsOn: ["providers/fly/identity.ts", "cli/fleet.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `POST …/exec`",
      wrongIf: "output or exit code are not the program's",
    },
    "dns-6pn": {
      says: "`<machine>.vm.<app>.internal` resolves to the machine's address on the private network.",
      restsOn: ["local/fly/network/names.ts"],
      source: "[Fly, private networking](https://fly.io/docs/networking/private-networking/#fly-io-internal-dns)",
      wrongIf: "the name does not resolve, or to another address than `private_ip`",
    },
    "dns-6pn-app": {
      says: "`<app>.internal` resolves to the addresses of the app's started machines, all of them and no others, within 10 s.",
      restsOn: ["local/fly/network/names.ts"],
      source: "[Fly, private networking](https://fly.io/docs/networking/private-networking/#fly-io-internal-dns)",
      wrongIf: "it resolves to others, or to fewer, for longer",
      playedBy: "test/provider/local-fly/private-network.test.ts: quirk: names show what was true a while ago",
    },
    "volume-grows": {
      says: "A mounted volume that is extended has a larger file system at once, unless the response has `needs_restart`.",
      restsOn: ["providers/fly/volume.ts"],
      source:
        "[Fly, extend a volume](https://fly.io/docs/flyctl/volumes-extend/); [openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `needs_restart`",
      wrongIf:
        "it does not grow and the response does not say so: the limit of a PoP's cache would be larger than its volume",
      playedBy: "test/provider/hosts.test.ts: the machine boots again after its volume has grown",
    },
  },
  async measure(session, found) {
    const { fly, app } = session;
    const { id } = session.require("traffic");
    const echo = await fly.execMachine(app, id, ["sh", "-c", "echo said; exit 3"], 10);
    found(
      "exec-answers",
      resultOf(
        echo.stdout?.trim() === "said" && echo.exit_code === 3,
        `exit code ${echo.exit_code}, output ${JSON.stringify(echo.stdout)}`,
      ),
    );
    const { private_ip } = await fly.getMachine(app, id);
    const { stdout } = await fly.execMachine(app, id, ["getent", "hosts", `${id}.vm.${app}.internal`], 10);
    const [address] = (stdout ?? "").trim().split(/\s+/);
    found(
      "dns-6pn",
      resultOf(
        Boolean(address) && same(address, private_ip),
        address ? (same(address, private_ip) ? "its private_ip" : "another address") : "it does not resolve",
      ),
    );
    let listed = "it does not resolve";
    const agreed = await session.until({ everyMs: 1_000, forMs: namesMs }, async () => {
      const { stdout: lines } = await fly.execMachine(app, id, ["getent", "hosts", `${app}.internal`], 10);
      const addresses = (lines ?? "").split("\n").flatMap((line) => line.trim().split(/\s+/)[0] || []);
      const started = (await fly.listMachines(app)).filter(({ state }) => state === "started");
      listed = `${addresses.length} addresses with ${started.length} machines started`;
      const isWhole = started.every((it) => addresses.some((address) => same(address, it.private_ip)));
      return isWhole && addresses.length === started.length ? true : undefined;
    });
    found("dns-6pn-app", resultOf(agreed !== undefined, agreed ? `${listed}, after ${seconds(agreed.ms)}` : listed));
    const blocks = async () => sizeKb((await fly.execMachine(app, id, ["df", "-k", mountPath], 10)).stdout);
    const before = await blocks();
    const { needs_restart = false } = await fly.extendVolume(app, session.require("trafficVolume").id, 2);
    const grown = await session.until({ everyMs: 1_000, forMs: growMs }, async () =>
      (await blocks()) > before ? true : undefined,
    );
    found(
      "volume-grows",
      resultOf(
        Boolean(grown) !== needs_restart,
        `needs_restart ${needs_restart}, file system ${grown ? `larger after ${seconds(grown.ms)}` : "as before"}`,
      ),
    );
  },
});

/** One address can be written in several ways. */
const same = (a: string | undefined, b: string | null | undefined): boolean =>
  Boolean(a && b) && new URL(`http://[${a}]`).hostname === new URL(`http://[${b}]`).hostname;

/** The second column of df's last line; 0 if the text is not output of df. */
const sizeKb = (stdout: string | null | undefined): number =>
  Number((stdout ?? "").trim().split("\n").at(-1)?.split(/\s+/)[1]) || 0;
