/** One HTTP exchange, for every client here: what is sent, what counts as an answer, what as none. Which calls may be repeated: retry.ts. */
import { Agent } from "node:https";
import { createRequire } from "node:module";
import type { AxiosStatic } from "axios";

/** As the one file that it is for require: by import it is 66, and every command waits a tenth of a second longer. */
const axios = createRequire(import.meta.url)("axios") as AxiosStatic;

export interface HttpRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  url: string;
  headers: Record<string, string>;
  body?: string | undefined;
  timeoutMs: number;
}

export interface HttpResponse {
  status: number;
  /** Names in lower case. */
  headers: Record<string, unknown>;
  /** The text as it came. */
  body: string;
}

/** Every status is an answer. Rejects with NoResponseError when none came. */
export type Transport = (exchange: HttpRequest) => Promise<HttpResponse>;

/** Nothing came back. Carries no part of the request: there is a credential in it. */
export class NoResponseError extends Error {
  /** Node's or axios' name for what happened, e.g. ECONNREFUSED. */
  readonly code: string | undefined;
  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** Bytes. A list of thousands of machines fits. */
const maxResponseBytes = 64 << 20;

/** @param ca PEM of the authorities that count instead of the public ones. */
export function httpTransport({ ca }: { ca?: string | undefined } = {}): Transport {
  const http = axios.create({
    validateStatus: () => true,
    // A redirected POST would come out as a GET.
    maxRedirects: 0,
    maxContentLength: maxResponseBytes,
    responseType: "text",
    transitional: { forcedJSONParsing: false },
    transformRequest: (text: unknown) => text,
    transformResponse: (text: unknown) => text,
    ...(ca === undefined ? {} : { httpsAgent: new Agent({ ca }) }),
  });
  return async ({ method, url, headers, body, timeoutMs }) => {
    try {
      const response = await http.request<string>({
        method,
        url,
        headers: { "User-Agent": "fly-pops", ...headers },
        data: body,
        timeout: timeoutMs,
        ...(isLoopback(url) ? { proxy: false as const } : {}),
      });
      return { status: response.status, headers: response.headers, body: response.data };
    } catch (error) {
      // Never the axios error itself, nor as a cause.
      throw new NoResponseError(
        error instanceof Error ? error.message : String(error),
        axios.isAxiosError(error) ? error.code : undefined,
      );
    }
  };
}

/** A proxy of the house cannot reach our own loopback. */
function isLoopback(url: string): boolean {
  const host = URL.canParse(url) ? new URL(url).hostname : "";
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}

/** The value of a body that is JSON, the text of one that is not; undefined for none. */
export function parseJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
