/**
 * How an image and a machine say which build context they mean, in the environment of `pop health` (image/pop/image.go). Two names: a machine's
 * variable takes the place of an image's of the same name, and both would always agree.
 */
export const contextVariables = {
  /** Set by the image: the digest of the context it was made from, hex. */
  own: "POP_CONTEXT",
  /** Set by the machine's config: the digest it is to have. Absent: any image will do. */
  expected: "POP_EXPECTED_CONTEXT",
};
