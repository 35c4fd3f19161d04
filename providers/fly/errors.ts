/** The one error of the Fly client. Its message is a sentence; its fields are for decisions. */
export class FlyError extends Error {
  /** What was asked, e.g. "create machine cdg-1". */
  readonly operation: string;
  /** HTTP status; undefined when no answer came. */
  readonly status: number | undefined;
  /** Fly's own code, e.g. insufficient_capacity; where present it outranks the text. */
  readonly code: string | undefined;
  /** `fly-request-id` of the answer, for Fly's support. */
  readonly requestId: string | undefined;
  /** Fly's text, short and redacted, or why there was no answer. */
  readonly detail: string;
  /**
   * Set when the call may take effect although no good answer came, or may have: the time by the clock by which it does, if at all. Settle it
   * by reading, never by sending it again.
   */
  readonly takesEffectBy: number | undefined;
  /** The answer's `Retry-After`, as sent. */
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

  /** Nobody knows whether it took effect. */
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
  if (of.status === undefined) return `${of.operation}: no answer from Fly, ${of.detail}`;
  const why = [of.status, of.code, of.requestId && `request ${of.requestId}`].filter(Boolean).join(", ");
  return `${of.operation}: ${of.detail} (${why})`;
}

/** The object is not there. */
export const isNotFound = (error: unknown): boolean => error instanceof FlyError && error.status === 404;

/** For a `catch`: this in place of what is not there; every other error goes on. `fly.listVolumes(app).catch(ifNotFound([]))` */
export const ifNotFound =
  <T>(value: T) =>
  (error: unknown): T => {
    if (isNotFound(error)) return value;
    throw error;
  };

/** "Exists already": Fly says 409 for machines, 422 for apps, and both have been seen for either. */
export const isConflict = (error: unknown): error is FlyError =>
  error instanceof FlyError &&
  (error.status === 409 || error.status === 422) &&
  (error.code === "name_taken" ||
    /already[ _](exists|been taken)|name violation|uniqueness constraint/i.test(error.detail));

/** The volume has a machine already: somebody's, or our own from a run that was cut off. Fly may say this before it looks at names. */
export const isVolumeInUse = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status === 412 && /claimed by machine/i.test(error.detail);

/** The machine's host does not answer. No reason to hold up the others. */
export class HostUnreachable extends Error {
  /** `asked`: the update was under way when the host went, so it may have been carried out. */
  constructor(pop: string, id: string, { asked = false, cause }: { asked?: boolean; cause?: unknown } = {}) {
    const happened = asked
      ? "It went away in the middle of the update, so which version runs there is not known"
      : "Nothing was changed there";
    super(
      `${pop}: skipped, the host of machine ${id} does not answer. ${happened}; the other PoPs go on. Run again when https://status.flyio.net says it is back. If it stays away: npx fly-pops replace ${pop}`,
      cause === undefined ? undefined : { cause },
    );
    this.name = "HostUnreachable";
  }
}

/** The API answers, the host behind it does not do what it is asked: away, or closed to changes. */
export const isHostFailure = (error: unknown): error is FlyError =>
  error instanceof FlyError && (error.status ?? 0) >= 500 && !isOutOfCapacity(error);

/** Fly names a volume that it does not find when a machine is to mount it, though it may well read. */
export const isVolumeMissing = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status === 400 && /volume not found/i.test(error.detail);

/** An answer of Fly as a sentence for people: whom it concerns, what was asked, why not, what to do. Other errors have their own. */
export function withAdvice(subject: string, error: unknown): string {
  if (!(error instanceof FlyError)) return error instanceof Error ? error.message : String(error);
  return `${subject}: ${error.message}. ${advice(error)}`;
}

function advice({ status }: FlyError): string {
  if (status === 401) return "Fly does not know the token: check FLY_API_TOKEN or fly:token, then run again.";
  if (status === 403) return "The token may not do this: take one of the app's organization, then run again.";
  if (status === 404) return 'If it was deleted by hand, "pulumi refresh" takes note of it; then run again.';
  return "Run again: what was made is found, nothing is made twice.";
}

/** No answer that tells whether it happened. */
export const mayHaveApplied = (error: unknown): error is FlyError => error instanceof FlyError && error.uncertain;

/** Somebody else holds the machine's lease. */
export const isLeased = (error: unknown): error is FlyError =>
  error instanceof FlyError && error.status === 409 && /lease/i.test(error.detail);

/** All of Fly's ways to say that there is no room: 400, 403, 409, 412, 422 and 503 have been seen for it. */
export const isOutOfCapacity = (error: unknown): error is FlyError =>
  error instanceof FlyError &&
  (error.code === "insufficient_capacity" ||
    error.code === "volume_placement_capacity" ||
    /no capacity|could not reserve resource|could not find a candidate host|insufficient (resources|memory|cpus)|allowed quota/i.test(
      error.detail,
    ));
