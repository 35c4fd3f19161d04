/** Replaces credentials in messages and logs. */
const placeholder = "[redacted]";

/** Fly tokens of any owner: macaroons and the older personal tokens. */
const tokenPattern = /\b(?:fm1[ra]|fm2|fo1)_[A-Za-z0-9+/=_-]+/g;
const authorizationPattern = /\b(Bearer|FlyV1|Basic)\s+[A-Za-z0-9+/=._,~-]{8,}/gi;

/** The text with all given secrets, and everything that looks like a token, replaced. */
export function redact(text: string, secrets: readonly string[] = []): string {
  // Longest first, so that of a secret that contains another one no rest remains.
  const known = secrets.filter((secret) => secret.length > 0).toSorted((a, b) => b.length - a.length);
  return known
    .reduce((rest, secret) => rest.replaceAll(secret, placeholder), text)
    .replace(authorizationPattern, `$1 ${placeholder}`)
    .replace(tokenPattern, placeholder);
}
