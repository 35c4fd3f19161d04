import { testOperations } from "../support/faults/page.ts";

testOperations(({ kind, verb }) => kind !== "Identity" && (kind !== "Machine" || verb === "read" || verb === "delete"));
