/** The only error class of the Fly client. Its message is a sentence; its fields are for decisions. */
export class FlyError extends Error {
  /** The operation, e.g. "create machine cdg-1". */
  readonly operation: string;
  /** HTTP status; undefined when there was no response. */
  readonly status: number | undefined;
  /** Fly's own error code, e.g. insufficient_capacity. Where present, decide by it and not by the text. */
  readonly code: string | undefined;
  /** `fly-request-id` of the response, for Fly's support. */
  readonly requestId: string | undefined;
  /** Fly's error text, shortened and redacted, or the reason why there was no response. */
  readonly detail: string;
  /**
   * Set when the call may have taken effect, or may still take effect, although there was no successful response: the time in milliseconds since the
   * epoch by which it has, if at all. Find out by reading the object, never by repeating the call.
   */
  readonly takesEffectBy: number | undefined;
  /** The response's `Retry-After` header, as sent. */
  readonly retryAfter: string | undefined;

  constructor(of: {
    operation: string;
    status?: number | undefined;
    code?: string | undefined;
    requestId?: string | undefined;
    detail: string;
    takesEffectBy?: number | undefined;
    retryAfter?: string | undefined;
    cause?: unknown;
  }) {
    super(sentence(of), of.cause === undefined ? undefined : { cause: of.cause });
    this.name = "FlyError";
    this.operation = of.operation;
    this.status = of.status;
    this.code = of.code;
    this.requestId = of.requestId;
    this.detail = of.detail;
    this.takesEffectBy = of.takesEffectBy;
    this.retryAfter = of.retryAfter;
  }

  /** Whether the call took effect is unknown. */
  get uncertain(): boolean {
    return this.takesEffectBy !== undefined;
  }
}

function sentence(of: {
  operation: string;
  status?: number | undefined;
  code?: string | undefined;
  requestId?: string | undefined;
  detail: string;
}): string {
  if (of.status === undefined) return `${of.operation}: no response from Fly, ${of.detail}`;
  const why = [of.status, of.code, of.requestId && `request ${of.requestId}`].filter(Boolean).join(", ");
  return `${of.operation}: ${of.detail} (${why})`;
}

/** The object does not exist (404). */
export const isNotFound = (error: unknown): boolean => error instanceof FlyError && error.status === 404;

/** For a `catch`: returns this value on 404 and rethrows every other error. Example: `fly.listVolumes(app).catch(ifNotFound([]))` */
export const ifNotFound =
  <T>(value: T) =>
  (error: unknown): T => {
    if (isNotFound(error)) return value;
    throw error;
  };

/** The object already exists. Fly returns 409 for machines and 422 for apps; both have been seen for either. */
export const isConflict = (error: unknown): error is FlyError =>
  error instanceof FlyError &&
  (error.status === 409 || error.status === 422) &&
  (error.code === "name_taken" ||
    /already[ _](exists|been taken)|name violation|uniqueness constraint/i.test(error.detail));

/** The volume is already attached to a machine: another one, or ours from an interrupted run. Fly may check this before it checks names. */
export const isVolumeInUse = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status === 412 && /claimed by machine/i.test(error.detail);

/** The machine's host does not respond. Other machines are not affected. */
export class HostUnreachable extends Error {
  /** `asked`: the update was in progress when the host went down, so it may have been applied. */
  constructor(pop: string, id: string, { asked = false, cause }: { asked?: boolean; cause?: unknown } = {}) {
    const happened = asked
      ? "It went down during the update, so it is not known which version runs there"
      : "Nothing was changed there";
    super(
      `${pop}: skipped, the host of machine ${id} does not answer. ${happened}; the other PoPs are updated. Run again when https://status.flyio.net reports that the host is back. If it stays down: npx fly-pops replace ${pop}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = "HostUnreachable";
  }
}

/** The API responds but the host behind it does not do what was requested: it is down, or deploys to it are disabled. */
export const isHostFailure = (error: unknown): error is FlyError =>
  error instanceof FlyError && (error.status ?? 0) >= 500 && !isOutOfCapacity(error);

/** Fly cannot find the volume that the machine mounts. Reading the volume may still succeed. */
export const isVolumeMissing = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status === 400 && /volume not found/i.test(error.detail);

/** The error as a message for users: which PoP or app, which operation, why it failed, what to do. Messages of other errors are returned unchanged. */
export function withAdvice(subject: string, error: unknown): string {
  if (!(error instanceof FlyError)) return error instanceof Error ? error.message : String(error);
  return `${subject}: ${error.message}. ${advice(error)}`;
}

/** What to do next, by class of error: running again helps only if the error is transient or its outcome is unknown. */
function advice(error: FlyError): string {
  const { status } = error;
  if (status === 401) return "Fly does not know the token: check FLY_API_TOKEN or fly:token, then run again.";
  if (status === 403 && !isOutOfCapacity(error))
    return "The token may not do this: use one of the app's organization, then run again.";
  if (status === 404) return 'If it was deleted by hand, run "pulumi refresh", then run again.';
  if (isOutOfCapacity(error)) return "Try again later, or choose another region or size.";
  if (status === 400 || status === 422)
    return "Fly rejected the request itself: correct what it names, then run again. Without a change it fails again.";
  return "Run again: existing objects are found, nothing is created twice.";
}

/** The call may have taken effect: no response says whether it did. */
export const mayHaveApplied = (error: unknown): error is FlyError => error instanceof FlyError && error.uncertain;

/** Another client holds the machine's lease. */
export const isLeased = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status === 409 && /lease/i.test(error.detail);

/** Fly has no capacity, or the quota is used up. Statuses 400, 403, 409, 412, 422 and 503 have been seen for this. */
export const isOutOfCapacity = (error: unknown): error is FlyError =>
  error instanceof FlyError &&
  (error.code === "insufficient_capacity" ||
    error.code === "volume_placement_capacity" ||
    /no capacity|could not reserve resource|could not find a candidate host|insufficient (resources|memory|cpus)|allowed quota/i.test(
      error.detail,
    ));
