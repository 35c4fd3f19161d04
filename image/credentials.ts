/**
 * Recognizes credentials by their format: things that must not get into an image, a stack file or state. Only formats that the issuer made recognizable (a
 * prefix, a PEM block) are listed, so that ordinary text does not match. Messages never repeat the value. Pure.
 */

interface Shape {
  what: string;
  shape: RegExp;
  /**
   * Pattern for the user's files. Absent: same as `shape`. false: files are not searched for it, because it may be public there. A page's own API key, for
   * example, is a JWT.
   */
  inFiles?: RegExp | false;
}

const shapes: readonly Shape[] = [
  { what: "a Fly token", shape: /\bFlyV1 \S{8}|\bfm[12][ar]?_[\w+/=-]{16}|\bfo1_[\w-]{16}/ },
  { what: "a Tailscale key", shape: /\btskey-[a-z]+-\w{6}/ },
  { what: "a headscale key", shape: /\bhskey-[a-z]+-\w{6}/ },
  { what: "a Vault token", shape: /\bhv[sbr]\.\w{10}/ },
  { what: "an age identity", shape: /\bAGE-(SECRET-KEY|PLUGIN-[A-Z0-9]+)-(PQ-)?1[A-Z0-9]/ },
  {
    what: "a private key",
    shape: /-----BEGIN ([A-Z0-9]+ )*PRIVATE KEY( BLOCK)?-----|\bPuTTY-User-Key-File-\d: /,
    // Requires some of the key after the header line: programs and texts contain the header alone.
    inFiles:
      /-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----(?:\s|\\[nr])+[\w+/=:-]{6}|\bPuTTY-User-Key-File-\d: /,
  },
  { what: "an AWS access key", shape: /\bA(KI|SI)A[A-Z0-9]{16}\b/, inFiles: /\bA(?:KI|SI)A[A-Z0-9]{16}\b(?<!EXAMPLE)/ },
  { what: "a GitHub token", shape: /\bgh[pousr]_[A-Za-z0-9]{20}|\bgithub_pat_\w{20}/ },
  { what: "a GitLab token", shape: /\bgl(pat|ptt|dt|rt|cbt)-[\w-]{20}/ },
  { what: "a Slack token", shape: /\bxox[abeoprs]-[\w-]{8}|\bxapp-\d-[\w-]{8}/ },
  { what: "a Stripe key", shape: /\b[sr]k_live_\w{6}/ },
  { what: "a Pulumi token", shape: /\bpul-[0-9a-f]{40}\b/ },
  { what: "an npm token", shape: /\bnpm_[A-Za-z0-9]{36}\b/ },
  { what: "a PyPI token", shape: /\bpypi-AgEIcHlwaS5vcmc\w{10}/ },
  { what: "a DigitalOcean token", shape: /\bdo[opr]_v1_[0-9a-f]{64}\b/ },
  { what: "a SendGrid key", shape: /\bSG\.[\w-]{22}\.[\w-]{43}/ },
  { what: "an API key", shape: /\bsk-(ant-[a-z]+\d\d-|proj-|svcacct-)[\w-]{20}/ },
  { what: "a JSON Web Token", shape: /\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20}/, inFiles: false },
  {
    what: "a password in a URL",
    // A variable or asterisks in place of the password do not count.
    shape: /\b[a-z][a-z0-9+.-]*:\/\/[^\s:/?#@"']*:(?![$<{*]|%7B)[^\s/?#@"']+@/i,
    inFiles: false,
  },
];

const inFiles = shapes.flatMap(({ what, shape, inFiles: own = shape }) =>
  own === false ? [] : [{ what, shape: own }],
);

/** All patterns in one: most files match none of them. */
const anyShape = new RegExp(inFiles.map(({ shape }) => shape.source).join("|"));

/** The kind of credential that a value of the stack file contains, as a noun. Undefined: none. */
export const findCredential = (text: string): string | undefined => shapes.find(({ shape }) => shape.test(text))?.what;

/** Longest file that is searched: files with credentials are small. */
const maxFileBytes = 1 << 20;

/** Third-party code: its keys are public test keys. */
const isThirdParty = (path: string): boolean => /(^|\/)(node_modules|vendor|testdata|site-packages)\//.test(path);

/** The kind of credential that a file of the user's contains, as a noun. Undefined: none. Binary files are skipped. */
export function findCredentialInFile(path: string, content: Buffer): string | undefined {
  if (content.length > maxFileBytes || isThirdParty(path) || content.includes(0)) return undefined;
  const text = content.toString("latin1");
  return anyShape.test(text) ? inFiles.find(({ shape }) => shape.test(text))?.what : undefined;
}
