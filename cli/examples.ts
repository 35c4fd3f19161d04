/** Examples at the end of each help, by command. A test checks that they parse. */
import type { Command } from "commander";

export const examples: Readonly<Record<string, readonly string[]>> = {
  "": ["fly-pops status", "fly-pops --stack prod logs cdg-1 --errors", "fly-pops help secrets edit"],
  status: ["fly-pops status", "fly-pops status --watch --interval 5", "fly-pops status --json | jq '.pops[].problems'"],
  logs: [
    "fly-pops logs --errors --since 2h",
    "fly-pops logs cdg-1 --process nginx -n 500",
    "fly-pops logs -f --site www.example.org",
    "fly-pops logs --process nginx --json | jq .fields.status",
  ],
  processes: ["fly-pops processes cdg-1", "fly-pops processes cdg-1 --json | jq '.[].restarts'"],
  config: [
    "fly-pops config cdg-1 nginx.conf",
    "fly-pops config cdg-1 --diff",
    "fly-pops config cdg-1 nginx.conf --live",
  ],
  "nginx-test": ["fly-pops nginx-test", "fly-pops nginx-test cdg-1"],
  cost: ["fly-pops cost", "fly-pops cost --json | jq .monthly.total"],
  exec: [
    "fly-pops exec cdg-1 -- ps",
    "fly-pops exec cdg-1 -- pc process restart nginx",
    "cat page.html | fly-pops exec cdg-1 -- wc -c",
    "fly-pops exec --timeout 300 cdg-1 -- /bin/sh -c 'du -s /var/*'",
  ],
  console: ["fly-pops console cdg-1", "fly-pops console cdg-1 -- tail -f /var/log/x"],
  ssh: ["fly-pops ssh cdg-1", "fly-pops ssh -o ProxyJump=home cdg-1 -- uptime"],
  top: ["fly-pops top", "fly-pops top --watch --interval 10", "fly-pops top --json | jq '.pops[].sites'"],
  check: ["fly-pops check", "fly-pops check Pulumi.prod.yaml --json", "fly-pops check --live --stack prod"],
  dashboard: ["fly-pops dashboard --stack prod", "fly-pops dashboard --no-open"],
  block: ["fly-pops block 203.0.113.7 --for 1h", "fly-pops block 203.0.113.0/24 2001:db8::/48 --for 7d"],
  unblock: ["fly-pops unblock 203.0.113.7", "fly-pops unblock --all"],
  blocked: ["fly-pops blocked", "fly-pops blocked --json | jq -r '.blocked[].address'"],
  purge: [
    "fly-pops purge https://www.example.org/ https://www.example.org/news",
    "fly-pops purge --site www.example.org --path '/img/*'",
    "fly-pops purge --all",
  ],
  maintenance: ["fly-pops maintenance on www.example.org", "fly-pops maintenance off www.example.org"],
  drain: ["fly-pops drain cdg-1"],
  undrain: ["fly-pops undrain cdg-1"],
  tail: [
    "fly-pops tail",
    "fly-pops tail cdg-1 --status 4xx,5xx",
    "fly-pops tail --site www.example.org --slower 1s",
    "fly-pops tail --json | jq .uri",
  ],
  start: ["fly-pops start cdg-1 ewr-1"],
  restart: ["fly-pops restart cdg-1", "fly-pops restart cdg-1 nginx"],
  preview: ["fly-pops preview", "fly-pops preview --stack prod --json | jq '.pops[].why'"],
  releases: ["fly-pops releases", "fly-pops releases 12 --diff", "fly-pops releases -n 5 --json"],
  rollback: ["fly-pops rollback", "fly-pops rollback 12 --image-only --yes"],
  secrets: ["fly-pops secrets edit", "fly-pops secrets check"],
  "secrets edit": ["fly-pops secrets edit", "EDITOR='code --wait' fly-pops secrets edit"],
  "secrets show-recipients": ["fly-pops secrets show-recipients"],
  "secrets rekey": ["fly-pops secrets rekey --pops", "fly-pops secrets rekey --remove age1..."],
  "secrets check": ["fly-pops secrets check --stack prod"],
  replace: ["fly-pops replace cdg-1"],
  orphans: ["fly-pops orphans", "fly-pops orphans --delete", "fly-pops orphans --delete vol_4y9nqz3k8p1r7w2v"],
  doctor: ["fly-pops doctor", "fly-pops doctor --json | jq '.[] | select(.fix)'"],
  preflight: ["fly-pops preflight --region cdg", "fly-pops preflight --clean"],
  new: ["fly-pops new ../my-edge", "fly-pops new ../my-edge --stack prod --app my-edge --regions cdg,ewr"],
  init: ["fly-pops init --stack prod", "fly-pops init --app my-edge --regions cdg,ewr"],
  completion: ["source <(fly-pops completion bash)", "fly-pops completion fish | source"],
  help: ["fly-pops help logs", "fly-pops help secrets edit"],
};

/** Adds examples to the command and all its subcommands. */
export function addExamples(command: Command, path: readonly string[] = []): void {
  const lines = examples[path.join(" ")];
  if (lines) command.addHelpText("after", `\nExamples:\n${lines.map((line) => `  ${line}`).join("\n")}`);
  for (const child of command.commands) addExamples(child, [...path, child.name()]);
}
