/**
 * `certificates renew`: has PoPs order a site's certificate now (`pop renew`, image/pop/acme/renew.go), one PoP after the other. Before that it says what that
 * costs at the authority, and it never orders more than a week's certificates.
 */
import { z } from "zod";
import { isLetsEncrypt } from "../../config/directory.ts";
import { ordering, weekly } from "../../config/order-limits.ts";
import { isOrdered } from "../../image/render/acme.ts";
import { namesOf } from "../../image/render/hosts.ts";
import { type CliContext, CliError, confirm, type ExitCode, note, print, printJson } from "../context.ts";
import { type DeployedPop, deployedPops, type Fleet, popOf, readFleet } from "../fleet.ts";
import { jsonOf, type PopResult, queryAllPops, queryPop, resultJson, resultLine } from "../pop-query.ts";
import { siteByName } from "../site-by-name.ts";
import type { Stack } from "../stack.ts";

export interface RenewOptions {
  /** Names of PoPs; none: all of them. */
  pop: string[];
  yes?: boolean;
  json?: boolean;
}

/** As `pop renew --plan` answers. */
const Plan = z.object({
  names: z.array(z.string()),
  directory: z.string(),
  issued: z.array(z.string()),
  problem: z.string().optional(),
});
type Plan = z.infer<typeof Plan>;

/** As `pop renew` answers. */
const Renewed = z.object({
  serial: z.string().optional(),
  notAfter: z.string().optional(),
  pending: z.boolean().optional(),
});
type Renewed = z.infer<typeof Renewed>;

export async function renew(
  context: CliContext,
  stack: Stack,
  typed: string,
  options: RenewOptions,
): Promise<ExitCode> {
  const site = siteByName(stack, typed);
  if (site && !isOrdered(site))
    throw new CliError(
      `${site.host}: PoPs do not order this site's certificate, so there is nothing to renew here. Only those of \`certificates.acme\` are.`,
    );
  const host = site === undefined ? typed.toLowerCase() : (namesOf(site)[0] ?? typed);
  const fleet = await readFleet(stack);
  if (deployedPops(fleet).length === 0)
    throw new CliError(`${fleet.app} has no machine yet. Deploy one, and it orders its certificates by itself.`);
  const chosen = options.pop.length === 0 ? deployedPops(fleet) : options.pop.map((name) => popOf(fleet, name));
  const plans = await queryAllPops(fleet, command("--plan", host), {
    name: "pop renew",
    seconds: 30,
    parse: jsonOf(Plan),
  });
  const count = ordering(chosen.length, stack.lenientConfig().config?.image.certificates);
  checkPlans(chosen, plans);
  checkLimits(host, count, plans);
  note(context, costText(host, { chosen, count }, plans));
  if (!(await confirm(context, `Order ${count === 1 ? "it" : "them"} now?`, options.yes))) {
    note(context, "Nothing was ordered.");
    return 0;
  }
  const answers = await inTurn(fleet, chosen, host);
  if (options.json) printJson(context, { host, pops: answers.map(resultJson) });
  else
    for (const answer of answers)
      print(context, resultLine(context, answer, { textOf: renewedText, failed: "not renewed" }));
  const left = chosen.slice(answers.length).map(({ name }) => name);
  if (left.length > 0)
    note(
      context,
      `Nothing was ordered in ${left.join(", ")}: it would fail for the same reason, and failures count at the authority.`,
    );
  return answers.every(({ value }) => value !== undefined) ? 0 : 3;
}

const command = (...words: string[]): string[] => ["/usr/bin/runas", "certs", "/usr/bin/pop", "renew", ...words];

/** Rejects what a PoP cannot do now. */
function checkPlans(chosen: DeployedPop[], plans: PopResult<Plan>[]): void {
  for (const { name } of chosen) {
    const { value, reason } = plans.find(({ pop }) => pop === name) ?? {};
    const problem = value === undefined ? (reason ?? "it does not answer") : value.problem;
    if (problem !== undefined)
      throw new CliError(`${name}: ${problem}. Nothing was ordered. Leave it out with --pop, which can be repeated.`);
  }
}

/** Rejects more orders than Let's Encrypt gives in a week. */
function checkLimits(host: string, count: number, plans: PopResult<Plan>[]): void {
  const issued = issuedOf(plans).toSorted();
  const isLimited = plans.some(({ value }) => isLetsEncrypt(value?.directory ?? ""));
  if (!isLimited || issued.length + count <= weekly.identical) return;
  /** When a week has passed since the nth of them. Undefined: there are fewer, so that no wait makes room. */
  const weekAfter = (nth: number): string | undefined => {
    const at = issued[nth];
    return at === undefined ? undefined : new Date(Date.parse(at) + 7 * 86_400_000).toISOString();
  };
  const room = Math.max(0, weekly.identical - issued.length);
  const allAt = weekAfter(issued.length + count - weekly.identical - 1);
  const oneAt = weekAfter(issued.length - weekly.identical);
  const advice = [
    ...(room > 0 ? [`choose ${room} with --pop`] : []),
    ...(allAt !== undefined ? [`wait until ${allAt}`] : []),
    ...(room === 0 && allAt === undefined ? [`wait until ${oneAt} and choose fewer with --pop`] : []),
  ].join(", or ");
  throw new CliError(
    `${host}: Let's Encrypt gives ${weekly.identical} certificates a week for the same names, the PoPs got ${issued.length} of them in the last seven days, and this would be ${count} more. Nothing was ordered. ${advice.charAt(0).toUpperCase()}${advice.slice(1)}.`,
  );
}

/** When any PoP got a certificate for the names within the last week. */
const issuedOf = (plans: PopResult<Plan>[]): string[] => plans.flatMap(({ value }) => value?.issued ?? []);

function costText(
  host: string,
  { chosen, count }: { chosen: DeployedPop[]; count: number },
  plans: PopResult<Plan>[],
): string {
  const plan = plans.find(({ pop }) => pop === chosen[0]?.name)?.value;
  const names = plan?.names ?? [host];
  const certificates = count === 1 ? "One certificate" : `${count} certificates`;
  const pops = chosen.map(({ name }) => name).join(", ");
  const by = count < chosen.length ? `one of ${pops}, which share it` : pops;
  const unknown = plans.filter(({ value }) => value === undefined).map(({ pop }) => pop);
  return [
    `${certificates} for ${names.join(", ")}, ordered from ${plan?.directory ?? "the authority"} by ${by}.`,
    isLetsEncrypt(plan?.directory ?? "")
      ? `Let's Encrypt gives ${weekly.identical} a week for the same names; the PoPs got ${issuedOf(plans).length} in the last seven days.`
      : `The PoPs got ${issuedOf(plans).length} in the last seven days. How many that authority gives is not known here.`,
    ...(unknown.length > 0 ? [`What ${unknown.join(", ")} got is not known.`] : []),
  ].join("\n");
}

/** One after the other, up to the first that fails. */
async function inTurn(fleet: Fleet, pops: DeployedPop[], host: string): Promise<PopResult<Renewed>[]> {
  const answers: PopResult<Renewed>[] = [];
  for (const pop of pops) {
    const answer = await queryPop(fleet, pop, command(host), {
      name: "pop renew",
      seconds: 60,
      parse: jsonOf(Renewed),
    });
    answers.push({ pop: pop.name, ...answer });
    if (answer.value === undefined) break;
  }
  return answers;
}

const renewedText = ({ pending, serial, notAfter }: Renewed): string =>
  pending === true
    ? "the order takes longer: npx fly-pops status shows its end"
    : `renewed, until ${notAfter ?? "?"}, serial ${serial ?? "?"}`;
