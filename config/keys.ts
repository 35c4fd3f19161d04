/** What a stack file's keys of this project begin with. */
export const keyPrefix = "fly-pops:";
