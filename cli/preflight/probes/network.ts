/** The private network, as a program in the machine sees it. */
import { judged, probe } from "../assumption.ts";

export const networkProbe = probe({
  title: "private network",
  assumptions: {
    "exec-answers": {
      says: "`POST …/exec` runs a program in a machine and answers with its output and exit code.",
      restsOn: ["providers/fly/identity.ts", "cli/fleet.ts"],
      source: "[openapi.yaml](https://docs.machines.dev/spec/openapi3.json), `POST …/exec`",
      wrongIf: "output or exit code are not the program's",
    },
    "dns-6pn": {
      says: "`<machine>.vm.<app>.internal` resolves to the machine's address on the private network.",
      restsOn: [],
      source:
        "[Fly, private networking](https://fly.io/docs/networking/private-networking/#fly-io-internal-addresses); nothing here depends on it yet",
      wrongIf: "the name does not resolve, or to another address than `private_ip`",
    },
  },
  async measure(session, found) {
    const { fly, app } = session;
    const { id } = session.need("traffic");
    const echo = await fly.execMachine(app, id, ["sh", "-c", "echo said; exit 3"], 10);
    found(
      "exec-answers",
      judged(
        echo.stdout?.trim() === "said" && echo.exit_code === 3,
        `exit code ${echo.exit_code}, output ${JSON.stringify(echo.stdout)}`,
      ),
    );
    const { private_ip } = await fly.getMachine(app, id);
    const { stdout } = await fly.execMachine(app, id, ["getent", "hosts", `${id}.vm.${app}.internal`], 10);
    const [address] = (stdout ?? "").trim().split(/\s+/);
    found(
      "dns-6pn",
      judged(
        Boolean(address) && same(address, private_ip),
        address ? (same(address, private_ip) ? "its private_ip" : "another address") : "it does not resolve",
      ),
    );
  },
});

/** One address can be written in several ways. */
const same = (a: string | undefined, b: string | null | undefined): boolean =>
  Boolean(a && b) && new URL(`http://[${a}]`).hostname === new URL(`http://[${b}]`).hostname;
