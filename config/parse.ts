/** Stack file -> EdgeConfig, or all of its mistakes at once. Pure. */
import { complete } from "./complete.ts";
import { ConfigError, type Mistake, verdict } from "./mistakes.ts";
import { authFits, authKinds, openPaths } from "./rules/auth.ts";
import { originIgnored, statusesStored, varyFits } from "./rules/cache-policy.ts";
import { directoriesDiffer, namesProvable, siteSources, sourceSaid, vaultSayings } from "./rules/certificates.ts";
import { credentialsKept } from "./rules/credentials.ts";
import { egressWhole } from "./rules/egress.ts";
import { grpcFits, grpcOriginsAlike } from "./rules/grpc.ts";
import { hostsDiffer, oneDefault, wildcardOriginsNamed, wildcardsCertified } from "./rules/hosts.ts";
import { sshReachable, zonesDiffer } from "./rules/image.ts";
import { syslogPrivate } from "./rules/logs.ts";
import { luggageFits, luggageHealth, luggageWaits } from "./rules/luggage.ts";
import { nginxSites } from "./rules/nginx.ts";
import { certificatesServe, passThroughFits } from "./rules/pass-through.ts";
import { bufferingOfRules, redirectsArrive, ruleKinds, rulesMatch } from "./rules/paths.ts";
import {
  addressesDiffer,
  adoptedExist,
  cacheFits,
  canaryExists,
  filesFit,
  memoryFits,
  regionsExist,
} from "./rules/pops.ts";
import { portLimitsFit, portsFit, portsLead, portsLeave } from "./rules/ports.ts";
import { controlServerFits, secretsKept } from "./rules/secrets.ts";
import {
  accessSaid,
  bufferingFits,
  headersFit,
  noLoops,
  originsDiffer,
  requestHeadersFit,
  siteKinds,
  siteLuggage,
} from "./rules/sites.ts";
import { StackFile } from "./schema.ts";
import { type Sketch, sketch } from "./sketch.ts";
import type { EdgeConfig } from "./types.ts";
import { fieldOf, pathText, schemaAt } from "./walk.ts";

/** What belongs together. Each judges what the schema let through, and passes over what it did not. */
const rules: readonly ((sketch: Sketch) => Mistake[])[] = [
  regionsExist,
  memoryFits,
  cacheFits,
  filesFit,
  statusesStored,
  varyFits,
  originIgnored,
  canaryExists,
  adoptedExist,
  hostsDiffer,
  oneDefault,
  wildcardsCertified,
  wildcardOriginsNamed,
  siteKinds,
  authKinds,
  authFits,
  openPaths,
  accessSaid,
  bufferingFits,
  ruleKinds,
  bufferingOfRules,
  rulesMatch,
  redirectsArrive,
  passThroughFits,
  certificatesServe,
  sourceSaid,
  siteSources,
  namesProvable,
  directoriesDiffer,
  vaultSayings,
  siteLuggage,
  originsDiffer,
  grpcFits,
  grpcOriginsAlike,
  headersFit,
  requestHeadersFit,
  noLoops,
  portsFit,
  portsLead,
  portsLeave,
  portLimitsFit,
  luggageFits,
  luggageHealth,
  luggageWaits,
  zonesDiffer,
  syslogPrivate,
  nginxSites,
  sshReachable,
  secretsKept,
  controlServerFits,
  addressesDiffer,
  egressWhole,
  credentialsKept,
];

/**
 * The configuration of a stack from the values of its file, keys without `fly-pops:`.
 * @throws ConfigError naming every mistake: path, what was given, what is allowed, what was likely meant.
 */
export function parseConfig(written: Record<string, unknown>): EdgeConfig {
  const raw = withoutAbsent(written);
  const parsed = StackFile.safeParse(raw);
  const { mistakes, unclear } = verdict(raw, parsed.error?.issues ?? []);
  const seen = sketch(raw, unclear);
  const all = [...mistakes, ...rules.flatMap((rule) => rule(seen))];
  if (parsed.success && all.length === 0) return complete(parsed.data);
  throw new ConfigError(inPathOrder(all));
}

/** Pulumi.yaml has no other way to say that a value may be absent than an empty one as its default. */
function withoutAbsent(written: Record<string, unknown>): Record<string, unknown> {
  const isAbsent = ([key, value]: [string, unknown]) => {
    const schema = Object.hasOwn(StackFile.shape, key) ? schemaAt(StackFile, [key]) : undefined;
    const isEmpty = value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
    return isEmpty && schema !== undefined && fieldOf(schema)?.default === "absent";
  };
  return Object.fromEntries(Object.entries(written).filter((entry) => !isAbsent(entry)));
}

const inOrder = new Intl.Collator("en", { numeric: true }).compare;

/** By path, each once: the order of keys in the file does not show. */
function inPathOrder(mistakes: readonly Mistake[]): Mistake[] {
  const sorted = mistakes.toSorted((a, b) => inOrder(pathText(a.path), pathText(b.path)) || inOrder(a.text, b.text));
  return sorted.filter(({ text }, at) => sorted.findIndex((it) => it.text === text) === at);
}
