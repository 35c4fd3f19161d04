import { testOperations } from "../support/faults/page.ts";

testOperations(({ kind }) => kind === "Identity");
