/** Stack file -> EdgeConfig, or all errors in it at once. Pure. */

import { naturalOrder } from "../lib/order.ts";
import { ConfigError, type ConfigIssue, toIssues } from "./issues.ts";
import { normalizeConfig } from "./normalize.ts";
import { checkAuthExemptions, checkAuthKind, checkAuthWithCache } from "./rules/auth.ts";
import { checkCachedStatuses, checkIgnoreOrigin, checkVaryLength } from "./rules/cache-policy.ts";
import {
  checkAcmeNames,
  checkCertificateSources,
  checkSiteCertificates,
  checkUniqueDirectories,
  checkVault,
} from "./rules/certificates.ts";
import { checkNoCredentials } from "./rules/credentials.ts";
import { checkEgressTotal } from "./rules/egress.ts";
import { checkGrpcKeys, checkGrpcOrigins } from "./rules/grpc.ts";
import {
  checkSingleDefault,
  checkUniqueHosts,
  checkWildcardCertificates,
  checkWildcardOriginNames,
} from "./rules/hosts.ts";
import { checkSsh, checkUniqueZones } from "./rules/image.ts";
import { checkSyslogTarget } from "./rules/logs.ts";
import { checkLuggage, checkLuggageDependencies, checkLuggageHealth } from "./rules/luggage.ts";
import { checkNginxSites } from "./rules/nginx.ts";
import { checkCertificatesUsed, checkPassThrough } from "./rules/pass-through.ts";
import { checkReachableRules, checkRuleBuffering, checkRuleKind, checkRuleRedirects } from "./rules/paths.ts";
import {
  checkAdopted,
  checkCacheSize,
  checkCanary,
  checkMaxFileSize,
  checkMemory,
  checkRegions,
  checkUniqueAddresses,
} from "./rules/pops.ts";
import { checkPortLimits, checkPortLoops, checkPortNumbers, checkPortTargets } from "./rules/ports.ts";
import { checkControlServer, checkSecretsFile } from "./rules/secrets.ts";
import {
  checkAccess,
  checkBuffering,
  checkHeaders,
  checkLoops,
  checkOrigins,
  checkRequestHeaders,
  checkSiteKind,
  checkSiteLuggage,
} from "./rules/sites.ts";
import { StackFile } from "./schema.ts";
import { fieldOf, pathText, schemaAt } from "./schema-path.ts";
import type { EdgeConfig } from "./types.ts";
import { dropInvalid, type ValidPart } from "./valid-part.ts";

/** Checks across several keys. Each checks the values that passed the schema and skips those that did not. */
const rules: readonly ((valid: ValidPart) => ConfigIssue[])[] = [
  checkRegions,
  checkMemory,
  checkCacheSize,
  checkMaxFileSize,
  checkCachedStatuses,
  checkVaryLength,
  checkIgnoreOrigin,
  checkCanary,
  checkAdopted,
  checkUniqueHosts,
  checkSingleDefault,
  checkWildcardCertificates,
  checkWildcardOriginNames,
  checkSiteKind,
  checkAuthKind,
  checkAuthWithCache,
  checkAuthExemptions,
  checkAccess,
  checkBuffering,
  checkRuleKind,
  checkRuleBuffering,
  checkReachableRules,
  checkRuleRedirects,
  checkPassThrough,
  checkCertificatesUsed,
  checkCertificateSources,
  checkSiteCertificates,
  checkAcmeNames,
  checkUniqueDirectories,
  checkVault,
  checkSiteLuggage,
  checkOrigins,
  checkGrpcKeys,
  checkGrpcOrigins,
  checkHeaders,
  checkRequestHeaders,
  checkLoops,
  checkPortNumbers,
  checkPortTargets,
  checkPortLoops,
  checkPortLimits,
  checkLuggage,
  checkLuggageHealth,
  checkLuggageDependencies,
  checkUniqueZones,
  checkSyslogTarget,
  checkNginxSites,
  checkSsh,
  checkSecretsFile,
  checkControlServer,
  checkUniqueAddresses,
  checkEgressTotal,
  checkNoCredentials,
];

/**
 * The configuration of a stack from the values of its file, keys without `fly-pops:`.
 * @throws ConfigError listing every error: path, given value, allowed values, closest match.
 */
export function parseConfig(written: Record<string, unknown>): EdgeConfig {
  const raw = withoutAbsent(written);
  const parsed = StackFile.safeParse(raw);
  const { issues, invalidPaths } = toIssues(raw, parsed.error?.issues ?? []);
  const valid = dropInvalid(raw, invalidPaths);
  const all = [...issues, ...rules.flatMap((rule) => rule(valid))];
  if (parsed.success && all.length === 0) return normalizeConfig(parsed.data);
  throw new ConfigError(inPathOrder(all));
}

/** In Pulumi.yaml an optional key can only have an empty value as its default, so an empty value counts as absent. */
function withoutAbsent(written: Record<string, unknown>): Record<string, unknown> {
  const isAbsent = ([key, value]: [string, unknown]) => {
    const schema = Object.hasOwn(StackFile.shape, key) ? schemaAt(StackFile, [key]) : undefined;
    const isEmpty = value === "" || (typeof value === "object" && value !== null && Object.keys(value).length === 0);
    return isEmpty && schema !== undefined && fieldOf(schema)?.default === "absent";
  };
  return Object.fromEntries(Object.entries(written).filter((entry) => !isAbsent(entry)));
}

/** Sorted by path and without duplicates, so that the order of keys in the file does not matter. */
function inPathOrder(issues: readonly ConfigIssue[]): ConfigIssue[] {
  const sorted = issues.toSorted(
    (a, b) => naturalOrder(pathText(a.path), pathText(b.path)) || naturalOrder(a.text, b.text),
  );
  return sorted.filter(({ text }, at) => sorted.findIndex((it) => it.text === text) === at);
}
