import type { Context } from "../../providers/handler.ts";

const unasked = (what: string) => (): never => {
  throw new Error(`${what} was asked for, and no test said how`);
};

/** For handlers that have nothing to do with secrets: a request for one fails its test. */
export const noSecrets: Pick<Context, "sops" | "tailnet"> = {
  sops: { decrypt: unasked("sops"), encrypt: unasked("sops") },
  tailnet: unasked("a tailnet"),
};
