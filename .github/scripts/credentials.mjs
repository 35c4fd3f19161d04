#!/usr/bin/env node
/**
 * Puts the credentials of a run into files that only it can read, and tells later steps where those are. So they stand in the environment of this process
 * alone, not in that of every program a deployment starts. Access to a state on S3 comes from a role by OIDC where AWS_ROLE_ARN names one, so that no key
 * of AWS is kept at GitHub. https://docs.github.com/en/actions/concepts/security/openid-connect
 *
 * Reads PULUMI_CONFIG_PASSPHRASE, SOPS_AGE_KEY, AWS_ROLE_ARN (AWS_SESSION_SECONDS, default 3600) or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; all may be
 * absent.
 */
import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

/** What STS answered, as the lines of a credentials file. Throws AWS's own code where it refused. */
export function credentialsOf(xml) {
  const field = (name) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(xml)?.[1];
  const [id, key, session] = ["AccessKeyId", "SecretAccessKey", "SessionToken"].map(field);
  if (!id || !key || !session)
    throw new Error(`AWS gave no session: ${field("Code") ?? "no reason"}, ${field("Message") ?? "none given"}`);
  return credentialsFile({ id, key, session });
}

export const credentialsFile = ({ id, key, session }) =>
  [
    "[default]",
    `aws_access_key_id = ${id}`,
    `aws_secret_access_key = ${key}`,
    ...(session ? [`aws_session_token = ${session}`] : []),
    "",
  ].join("\n");

async function text(what, url, options) {
  const response = await fetch(url, { ...options, signal: AbortSignal.timeout(20_000) });
  const body = await response.text();
  // A refusal of STS has its reason in the body, which holds nothing secret then.
  if (!response.ok && !body.includes("<Code>")) throw new Error(`${what} failed with status ${response.status}.`);
  return body;
}

/** @param {Readonly<Record<string, string | undefined>>} env */
export async function assumedRole(env, sts = "https://sts.amazonaws.com/") {
  const { ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: token } = env;
  if (!url || !token)
    throw new Error("AWS_ROLE_ARN is set, but the job may not ask GitHub for a token: it needs `id-token: write`.");
  const answer = await text("Asking GitHub for a token", `${url}&audience=sts.amazonaws.com`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const form = new URLSearchParams({
    Action: "AssumeRoleWithWebIdentity",
    Version: "2011-06-15",
    RoleArn: env.AWS_ROLE_ARN,
    RoleSessionName: `fly-pops-${env.GITHUB_RUN_ID ?? "run"}`,
    DurationSeconds: env.AWS_SESSION_SECONDS || "3600",
    WebIdentityToken: JSON.parse(answer).value,
  });
  return credentialsOf(await text("Asking AWS for a session", sts, { method: "POST", body: form }));
}

/** Files to write, by the variable that names each to later steps. */
export async function filesFor(env, sts) {
  const aws = env.AWS_ROLE_ARN
    ? await assumedRole(env, sts)
    : env.AWS_ACCESS_KEY_ID &&
      credentialsFile({
        id: env.AWS_ACCESS_KEY_ID,
        key: env.AWS_SECRET_ACCESS_KEY ?? "",
        session: env.AWS_SESSION_TOKEN,
      });
  return Object.fromEntries(
    [
      ["PULUMI_CONFIG_PASSPHRASE_FILE", env.PULUMI_CONFIG_PASSPHRASE],
      ["SOPS_AGE_KEY_FILE", env.SOPS_AGE_KEY],
      ["AWS_SHARED_CREDENTIALS_FILE", aws],
    ].filter(([, content]) => content),
  );
}

async function main(env) {
  for (const [variable, content] of Object.entries(await filesFor(env))) {
    const file = join(env.RUNNER_TEMP ?? "", variable.toLowerCase());
    writeFileSync(file, content, { mode: 0o600 });
    for (const line of content.split("\n")) {
      const secret = /^aws_(?:secret|session)\S+ = (.+)$/.exec(line)?.[1];
      if (secret) process.stdout.write(`::add-mask::${secret}\n`);
    }
    appendFileSync(env.GITHUB_ENV ?? "", `${variable}=${file}\n`);
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href)
  await main(process.env).catch((error) => {
    process.stderr.write(`credentials: ${error.message}\n`);
    process.exit(1);
  });
