/** Writes docs/fly-reality.md from the probes of `fly-pops preflight`: `npm run docs`. A test compares. */
import type { Assumption } from "../../cli/preflight/assumption.ts";
import { everyProbe, plan } from "../../cli/preflight/plan.ts";

export const flyRealityPath = new URL("../../docs/fly-reality.md", import.meta.url);

/** Of what no probe can measure for a few cents, or at all. */
const unmeasured: { assumption: string; source: string; why: string }[] = [
  {
    assumption: "A host that is away still answers reads, with `host_status: unreachable`; verbs fail.",
    source: "[Fly, host unavailable](https://fly.io/docs/apps/trouble-host-unavailable/)",
    why: "no host goes away when asked: test/provider/machine.test.ts, a machine on a host that is away is skipped, not replaced",
  },
  {
    assumption:
      "After Fly moved a machine to another host, its volume has another id and the machine another private address.",
    source: "[Fly, machine migration](https://fly.io/docs/reference/machine-migration/)",
    why: "Fly alone moves machines: test/provider/drift-by-hand.test.ts, a machine that Fly moved to another host",
  },
  {
    assumption:
      "A private address stays over stops, starts and updates; it is `fdaa`, 32 bits of the network, 32 of the host, 32 of the machine, and ends in `2`. The fourth group is `a7b`.",
    source:
      "[Fly, 6PN addresses](https://fly.io/docs/networking/private-networking/#6pn-addresses-in-detail); the fourth group: every address in Fly's own pages",
    why: "nothing but local Fly rests on the form: test/provider/local-fly/private-network.test.ts, another host means another address",
  },
  {
    assumption:
      "The name server is at `fdaa::3`, port 53, by UDP and TCP, in every machine from its boot on, and answers for other names than `.internal` as well. Answers may be kept for 5 s.",
    source:
      "[Fly, private networking](https://fly.io/docs/networking/private-networking/#connect-a-fly-machine-to-the-fly-io-dns), where `dig` shows a TTL of 5",
    why: "the image of preflight's machines has no program that asks a given server",
  },
  {
    assumption:
      "AAAA `<app>.internal` has started machines only, whether or not their checks pass and whether or not they are cordoned, and may show for some seconds what was before.",
    source:
      "[Fly, private networking](https://fly.io/docs/networking/private-networking/#fly-io-internal-dns) says started; of checks, cordons and delay it says nothing, states travel by gossip",
    why: "how late an answer is takes many stops to see: test/provider/local-fly/private-network.test.ts, quirk: names show what was true a while ago",
  },
  {
    assumption:
      "A name of a known form without a started machine has no records (`NOERROR`); an app that is not on the client's network does not exist (`NXDOMAIN`), independent of its owner.",
    source:
      "[Fly, custom private networks](https://fly.io/docs/networking/custom-private-networks/): networks see nothing of each other; the codes are inferred",
    why: "clients do the same in both cases",
  },
  {
    assumption:
      "TXT `vms.<app>.internal` is `<id> <region>` joined by commas, `_instances.internal` is `instance=<id>,app=<app>,ip=<ip>,region=<region>` joined by semicolons.",
    source: "inferred from clients that read them; Fly's page says what is in them, not how",
    why: "nothing here reads them",
  },
  {
    assumption: "A dedicated IPv4 address passes raw TCP with the same PROXY header.",
    source: "[Fly, public network services](https://fly.io/docs/networking/services/)",
    why: "it costs $2 a month, and no page says that a part of a month costs less",
  },
  {
    assumption: "Visitors reach the nearest PoP, and the next one when it is at its `hard_limit`.",
    source: "[Fly, load balancing](https://fly.io/docs/reference/load-balancing/)",
    why: "it takes visitors in several places: test/unit/local/edge/choose.test.ts has local Fly's rule",
  },
  {
    assumption:
      "A machine reaches its own app's public addresses, and its proxy may hand such a connection to any machine: PoPs look at their names this way before they order certificates.",
    source: "[Fly, public network services](https://fly.io/docs/networking/services/)",
    why: "preflight's app has no name in DNS: test/image/acme.test.ts has a proxy in front of two PoPs",
  },
  {
    assumption: "`<app>.internal` at `[fdaa::3]:53` has the private addresses of all running machines of the app.",
    source: "[Fly, private networking](https://fly.io/docs/networking/private-networking/)",
    why: "it takes two machines that ask for each other: test/image/acme.test.ts has a name server that answers so",
  },
  {
    assumption: "Deletion of an app takes machines, volumes and addresses along.",
    source: "[Machines API, delete an app](https://fly.io/docs/machines/api/apps-resource/#delete-a-fly-app)",
    why: "what was in it cannot be asked for any more; preflight relies on it for volumes, and deletes machines itself before",
  },
];

const intro = `# What is assumed about Fly

<!-- Written by tools/docs/fly-reality.ts from cli/preflight/probes/: change it there, then run \`npm run docs\`. -->

The provider and local Fly are based on Fly's documentation, its clients and reports of others. If both make the same wrong assumption, no test against local
Fly can detect it. This page lists each assumption with its source, with what would disprove it, and with the test that runs the dependent code in the opposite
case.

\`\`\`sh
npx fly-pops preflight
\`\`\`

This command measures the assumptions with a real account, in one region, on an app of its own that it removes at the end. It takes about five minutes and costs
at most ten cents. It shows the estimate and asks before it starts. It writes a report under the ids below: \`fly-pops-preflight.md\` and \`.json\`. The report
contains no credential, none of your addresses and not the name of your organization. If an assumption does not hold, please open an issue and attach the
report.

You need:

- a token of an organization (\`fly tokens create org ORGANIZATION\`) as \`FLY_API_TOKEN\`
- IPv6, to observe connections from outside. Without it the command plays visitors from inside the machine and does not measure idle connections.

The machines run [nginx](https://hub.docker.com/_/nginx) as published, pulled by Fly itself, on their own private network.

The app is named \`fly-pops-preflight-…\`, and so is its network. Its machines have the metadata key \`pops_preflight\`. If a run is killed, the next one finds
the app by these marks and removes it. \`npx fly-pops preflight --clean\` does only that. After Ctrl-C or a failure the run cleans up itself.

Tests against local Fly show that each measurement can have either result: [test/cli/preflight-quirks.test.ts](../test/cli/preflight-quirks.test.ts). Others
show that nothing stays on Fly if any call fails, or if the run is killed at any call: [test/sim/preflight.test.ts](../test/sim/preflight.test.ts).
`;

/** docs/fly-reality.md as it should be. */
export function flyReality(): string {
  return [
    intro,
    ...everyProbe(plan).map(({ title, assumptions }) => section(title, assumptions)),
    "\n## Not measured\n\n",
    table(
      ["assumption", "source", "why not"],
      unmeasured.map(({ assumption, source, why }) => [assumption, source, why]),
    ),
  ].join("");
}

function section(title: string, assumptions: Readonly<Record<string, Assumption>>): string {
  const rows = Object.entries(assumptions).map(([id, it]) => [
    `<a id="${id}"></a>\`${id}\``,
    it.says,
    it.source,
    `${capital(it.wrongIf)}.`,
    it.restsOn.length > 0 ? it.restsOn.map(link).join(", ") : "nothing yet",
    it.playedBy === undefined ? "preflight's own tests" : played(it.playedBy),
  ]);
  return `\n## ${capital(title)}\n\n${table(["id", "assumed", "source", "wrong if", "rests on it", "other case"], rows)}`;
}

const link = (path: string): string => `[${path}](../${path})`;

function played(by: string): string {
  const [path = "", ...words] = by.split(": ");
  return `${link(path)}: ${words.join(": ")}`;
}

const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

const table = (head: string[], rows: string[][]): string =>
  [head, head.map(() => "---"), ...rows]
    .map((row) => `| ${row.map((it) => it.replaceAll("|", "\\|")).join(" | ")} |\n`)
    .join("");
