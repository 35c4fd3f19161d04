/**
 * Answers that say no, in Fly's words. `error` begins with an internal class (`invalid_argument:`), the part clients may rely on;
 * `status` is a code only a few errors carry.
 */
export class ApiError extends Error {
  readonly httpStatus: number;
  readonly body: Record<string, unknown>;
  constructor(httpStatus: number, body: Record<string, unknown>) {
    super(`${httpStatus} ${String(body.error ?? body.message)}`);
    this.name = "ApiError";
    this.httpStatus = httpStatus;
    this.body = body;
  }
}

/** The connection goes away without an answer. What the call did before stays done. */
export class Dropped extends Error {
  constructor() {
    super("connection dropped by the fault plan");
    this.name = "Dropped";
  }
}

const plain = (httpStatus: number, error: string, status?: string) =>
  new ApiError(httpStatus, status === undefined ? { error } : { error, status });

export const invalidArgument = (why: string) => plain(400, `invalid_argument: ${why}`);
/** 400 without a class in front: how Fly words some of them. */
export const badRequest = (why: string) => plain(400, why);
export const unauthorized = () => plain(401, "unauthorized");
type Thing = "app" | "ip" | "key" | "lease" | "machine" | "organization" | "release" | "secret" | "version" | "volume";
export const notFound = (what: Thing) => plain(404, `${what} not found`);
export const timedOut = (why: string) => plain(408, `deadline_exceeded: ${why}`);
export const aborted = (why: string) => plain(409, `aborted: ${why}`);
export const alreadyExists = (why: string) => plain(409, `already_exists: ${why}`);
export const failedPrecondition = (why: string, status?: string) => plain(412, `failed_precondition: ${why}`, status);
export const unprocessable = (why: string, status?: string) => plain(422, why, status);
/** The host does not answer; reads still do. */
export const unavailable = () => plain(503, "unavailable: deploys to this host are temporarily disabled");
/** What local Fly does not model; Fly itself does. */
export const unimplemented = (what: string) => plain(501, `unimplemented: local Fly does not model ${what}`);

/** Lease calls answer in an envelope of their own. */
export const leaseError = (httpStatus: number, message: string, code: string) =>
  new ApiError(httpStatus, { status: "error", message, code });
